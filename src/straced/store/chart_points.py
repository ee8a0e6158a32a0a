"""History as lines of a chart: what a process, or the host, did from moment to moment.

A row is written only when something changed, so a moment without one is a moment in which nothing happened; that the
service ran then is told by the rows of the host, one a tick. A moment in which it did not run is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct

from straced.model.facts import HostFacts
from straced.model.history import SeriesInfo
from straced.store import blocks, gaps, rollup
from straced.store.history import History
from straced.store.packing import FACTS, Facts, PackedRow, PackedSums, unpack_facts
from straced.store.rollup import HOUR_MS, MINUTE_MS

_RSS = FACTS.index("rss_bytes")
MOST_HOST_ROWS = 4000
"""More rows of the host than this are not all read: one a step stands for its step."""
_host = msgspec.msgpack.Decoder(HostFacts)


class ChartPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a chart; ``None`` (left out) is not known. Shares are percent of one CPU, or of one thread's time."""

    time: float
    """Its end, in seconds since the epoch."""
    calls_s: float | None = None
    errors_s: float | None = None
    cpu_pct: float | None = None
    working_pct: float | None = None
    waiting_pct: float | None = None
    rss_bytes: int | None = None
    memory_bytes: int | None = None
    """Of the host: used."""
    load: float | None = None
    pressure_pct: float | None = None
    """Of the host: the highest of CPU, memory and I/O (PSI, some)."""


def of_process(
    history: History, series: Sequence[SeriesInfo], since: float, until: float, most: int
) -> list[ChartPoint]:
    """At most ``most`` moments of one process from its samples; ``series`` are those of its owners."""
    start, end = int(since * 1000), int(until * 1000)
    clock = _ticks(history, start, end)
    if not clock:
        return []
    rows: list[tuple[int, PackedRow]] = []
    for info in series:
        if history.may_see(info.uid, info.gid, info.private):
            rows += _rows(history, info.id, start, end)
    rows.sort(key=lambda item: item[0])
    step = max(1, (end - start) // most)
    alive = [(int(info.first_s * 1000), None if info.end is None else int(info.last_s * 1000)) for info in series]
    steps: dict[int, list[tuple[int, int]]] = {}
    for ts, covered in clock:
        if any(first <= ts and (last is None or ts <= last) for first, last in alive):
            steps.setdefault((ts - start) // step, []).append((ts, covered))
    return list(_moments(steps, rows))


def _moments(steps: dict[int, list[tuple[int, int]]], rows: list[tuple[int, PackedRow]]) -> Iterable[ChartPoint]:
    facts: Facts | None = None
    counted = False
    at = 0
    for number in sorted(steps):
        ticks = steps[number]
        sums, cpu_ns = PackedSums(), 0
        rss = _rss(facts)
        while at < len(rows) and rows[at][0] <= ticks[-1][0]:
            row = rows[at][1]
            at += 1
            sums.add(row)
            counted = row.calls is not None
            cpu_ns += row.cpu_ns
            facts = unpack_facts(row.facts, facts)
            rss = max(rss or 0, _rss(facts) or 0)
        covered_ms = sum(covered for _ts, covered in ticks)
        totals = [sums.total(column) if sums.counted else 0 if counted else None for column in range(4)]
        yield moment(ticks[-1][0], covered_ms, totals, cpu_ns, rss)


def _rss(facts: Facts | None) -> int | None:
    value = facts[_RSS] if facts is not None else None
    return value if isinstance(value, int) else None


def moment(ts: int, covered_ms: int, totals: Sequence[int | None], cpu_ns: int | None, rss: int | None) -> ChartPoint:
    """Rates and shares from sums (calls, errors, wall and waiting time) over ``covered_ms``."""
    calls, errors, wall, waiting = totals
    working = None if wall is None or waiting is None else wall - waiting
    return ChartPoint(
        time=ts / 1000,
        calls_s=_per(calls, covered_ms / 1e3),
        errors_s=_per(errors, covered_ms / 1e3),
        cpu_pct=_per(cpu_ns, covered_ms * 1e4),
        working_pct=_per(working, covered_ms * 1e4),
        waiting_pct=_per(waiting, covered_ms * 1e4),
        rss_bytes=rss,
    )


def _per(value: int | None, whole: float) -> float | None:
    return None if value is None or whole <= 0 else round(value / whole, 3)


def _ticks(history: History, start: int, end: int) -> list[tuple[int, int]]:
    """The ticks of a span, each with the time that it covers, in ms; the first after a gap covers nothing."""
    found = history.connection.execute(
        "select ts from host where ts >= coalesce((select max(ts) from host where ts <= ?), ?) and ts < ? order by ts",
        (start, start, end),
    )
    times = [row[0] for row in found]
    steps = [after - before for before, after in pairwise(times)]
    usual = sorted(steps)[len(steps) // 2] if steps else 0
    return [(ts, step) for ts, step in zip(times[1:], steps, strict=True) if step <= gaps.FACTOR * max(usual, 1)]


def _rows(history: History, series: int, start: int, end: int) -> list[tuple[int, PackedRow]]:
    """Each sample that was written, of closed minutes and of the running one, with its time in ms."""
    first = start // MINUTE_MS * MINUTE_MS
    found: list[tuple[int, PackedRow]] = []
    for ts, data in history.connection.execute(
        "select ts, data from block where series = ? and ts >= ? and ts < ? order by ts", (series, first, end)
    ):
        found += blocks.unpack(ts, data)
    found += rollup.rows_of(
        history.connection.execute(
            "select ts, data from sample where ts >= ? and ts < ? and series = ? order by ts", (first, end, series)
        )
    )
    return _in_span(found, start, end)


def _in_span(rows: list[tuple[int, PackedRow]], start: int, end: int) -> list[tuple[int, PackedRow]]:
    """Rows of the span; what those before it in its first minute say of facts is kept, their counts are not."""
    first = bisect_right(rows, start, key=lambda item: item[0])
    facts: Facts | None = None
    for _ts, row in rows[:first]:
        facts = unpack_facts(row.facts, facts)
    kept = [item for item in rows[first:] if item[0] < end]
    if facts is not None:
        whole = [(1 << len(FACTS)) - 1, *facts]
        calls: list[int | None] | None = None if rows[first - 1][1].calls is None else []
        kept.insert(0, (start, PackedRow(facts=whole, calls=calls)))
    return kept


def rolled(
    history: History, series: Sequence[SeriesInfo], since: float, until: float, step_s: float
) -> list[ChartPoint]:
    """Moments of a process from roll-ups, in whole minutes or hours; a wait stands where it ended."""
    found = []
    first_ms = min((int(info.first_s * 1000) for info in series), default=0)
    for point in history.timeline(series, since, until, step_s):
        begin = max(int(point.time * 1000), first_ms)
        covered = int((point.time + point.step_s) * 1000) - begin
        totals = (point.calls, point.errors, point.wall_ns, point.waiting_ns)
        found.append(
            moment(int((point.time + point.step_s) * 1000), covered, totals, point.cpu_ns, point.rss_max_bytes)
        )
    return found


def of_host(history: History, since: float, until: float, most: int) -> list[ChartPoint]:
    """The host, and the calls of all that was watched: those by whole minutes, or hours where they go further back."""
    start, end = int(since * 1000), int(until * 1000)
    step = max(MINUTE_MS, (end - start) // most // MINUTE_MS * MINUTE_MS)
    table = "hour" if step >= HOUR_MS else "minute"
    step = step // HOUR_MS * HOUR_MS if table == "hour" else step
    moments = {}
    for ts, calls, errors in history.connection.execute(
        f"select ts / {step} * {step}, sum(calls), sum(errors) from {table} where ts >= ? and ts < ? group by 1",
        (start, end),
    ):
        moments[ts] = moment(ts + step, step, (calls, errors, None, None), None, None)
    for ts, facts in _hosts(history, start, end, step):
        begun = moments.get(ts) or ChartPoint(time=(ts + step) / 1000)
        moments[ts] = msgspec.structs.replace(begun, **facts)
    return [moments[ts] for ts in sorted(moments)]


def _hosts(history: History, start: int, end: int, step: int) -> Iterable[tuple[int, dict[str, float | int | None]]]:
    span = (start, end)
    many = history.connection.execute("select count(*) from host where ts >= ? and ts < ?", span).fetchone()[0]
    one, rest = ("max(ts)", "group by 1") if many > MOST_HOST_ROWS else ("ts", "order by ts")
    query = f"select ts / {step} * {step}, data, {one} from host where ts >= ? and ts < ? {rest}"
    steps: dict[int, list[HostFacts]] = {}
    for ts, data, _last in history.connection.execute(query, span):
        steps.setdefault(ts, []).append(_host.decode(data))
    for ts, each in steps.items():
        yield ts, _mean_host(each)


def _mean_host(hosts: Sequence[HostFacts]) -> dict[str, float | int | None]:
    used = [
        host.memory_total_bytes - host.memory_available_bytes
        for host in hosts
        if host.memory_total_bytes is not None and host.memory_available_bytes is not None
    ]
    pressures = [
        max(each.some_pct for each in known)
        for host in hosts
        if (known := [p for p in (host.cpu_pressure, host.memory_pressure, host.io_pressure) if p is not None])
    ]
    return {
        "cpu_pct": _mean([host.cpu_pct for host in hosts if host.cpu_pct is not None]),
        "memory_bytes": max(used, default=None),
        "load": _mean([host.load[0] for host in hosts if host.load is not None]),
        "pressure_pct": _mean(pressures),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None
