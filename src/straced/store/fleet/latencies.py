"""How long calls took on many hosts: the buckets are added up by DuckDB, percentiles are those of all of straced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from straced.model.durations import CallDurations
from straced.model.moment import CallLatency
from straced.store.fleet.dataset import FleetDataset
from straced.store.percentiles import FEWEST, MOST, percentiles
from straced.syscalls.waiting import WAITS_FOR_WORK

_WORK = "syscall not in ({})".format(", ".join(f"'{name}'" for name in sorted(WAITS_FOR_WORK)))
_OF = "time >= ? and time < ? and (? is null or job = ?) and (? is null or program glob ?)"
Key = tuple[Any, ...]


class FleetLatencies:
    """The durations of a span.

    Args:
        data: of the hosts.
        start, end: the span, in seconds since the epoch.
        job: of this job alone.
        name: of programs of this name, a glob, alone.
    """

    def __init__(self, data: FleetDataset, start: float, end: float, job: str | None, name: str | None) -> None:
        self._data = data
        self._span = start, end
        self._values = [start, end, job, job, name, name]

    def by(self, keys: str) -> dict[Key, CallDurations]:
        """Of working calls, by some columns: ``host, job, program``, say."""
        rows = self._ask(
            f"select {keys}, bucket, sum(calls)::bigint, max(slowest_ns) from {{0}} where {_OF} and {_WORK}"
            f" group by {keys}, bucket",
        )
        found: dict[Key, CallDurations] = {}
        for *key, bucket, calls, slowest in rows:
            made = found.setdefault(tuple(key), CallDurations(0, {}))
            made.add(CallDurations(slowest or 0, {bucket: calls}))
        return found

    def slowest(self, limit: int) -> list[CallLatency]:
        """The calls of which one took longest."""
        rows = self._ask(
            "with each as (select host, job, program, syscall, bucket, sum(calls)::bigint as calls,"
            f" max(slowest_ns) as slowest from {{0}} where {_OF} and {_WORK} group by all),"
            " most as (select host, job, program, syscall, max(slowest) as longest from each group by all"
            " order by longest desc nulls last, host, program, syscall limit ?)"
            " select host, job, program, syscall, bucket, calls, slowest from each"
            " semi join most using (host, job, program, syscall)",
            min(limit, MOST),
        )
        found: dict[Key, CallDurations] = {}
        for *key, bucket, calls, slowest in rows:
            made = found.setdefault(tuple(key), CallDurations(0, {}))
            made.add(CallDurations(slowest or 0, {bucket: calls}))
        order = sorted(found, key=lambda key: (-found[key].slowest_ns, key))
        return [_latency(key, found[key]) for key in order]

    def risen(self, limit: int) -> list[CallLatency]:
        """The calls of a program on a host whose 99th percentile rose most against the time before."""
        start, end = self._span
        before = start - (end - start)
        rows = self._data.ask(_RISEN, [start, before, end, FEWEST, min(limit, MOST)], ("latency", before, end))
        wanted = {tuple(row[:4]) for row in rows}
        now, earlier = self._of_calls(wanted, start, end), self._of_calls(wanted, before, start)
        found = []
        for row in rows:
            key = tuple(row[:4])
            if key in now and key in earlier:
                found.append(_latency(key, now[key], earlier[key].percentile_ns(0.99)))
        return found

    def _of_calls(self, wanted: set[Key], start: float, end: float) -> dict[Key, CallDurations]:
        found = FleetLatencies(self._data, start, end, None, None).by("host, job, program, syscall")
        return {key: made for key, made in found.items() if key in wanted}

    def _ask(self, query: str, *more: object) -> list[tuple[Any, ...]]:
        return self._data.ask(query, [*self._values, *more], ("latency", *self._span))


_RISEN = f"""
with each as (
    select host, job, program, syscall, time >= ? as late, bucket, any_value((from_ns + upto_ns) // 2) as middle,
        sum(calls)::bigint as calls
    from {{0}} where time >= ? and time < ? and {_WORK} group by all),
summed as (
    select *, sum(calls) over (partition by host, job, program, syscall, late order by bucket) as seen,
        sum(calls) over (partition by host, job, program, syscall, late) as total from each),
p99 as (
    select host, job, program, syscall, late, any_value(total) as total,
        min(middle) filter (seen >= ceil(total * 0.99)) as p99
    from summed group by all)
select host, job, program, syscall from p99 as now join p99 as earlier using (host, job, program, syscall)
where now.late and not earlier.late and now.p99 > earlier.p99 and least(now.total, earlier.total) >= ?
order by now.p99 / greatest(1, earlier.p99) desc, host, program limit ?
"""


def _latency(key: Sequence[Any], made: CallDurations, before: int | None = None) -> CallLatency:
    host, job, program, syscall = key
    return CallLatency(
        host=host,
        job=job,
        program=program,
        syscall=syscall,
        calls=made.calls,
        p99_before_ns=before,
        **percentiles(made),
    )
