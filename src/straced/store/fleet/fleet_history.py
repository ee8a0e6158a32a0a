"""The questions of history, asked of many hosts: the face of a client, and its values, with the host in each."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from straced.errors import InvalidArgument
from straced.ipc.messages import Select
from straced.model import aggregation
from straced.model.durations import CallDurations
from straced.model.history import HistoryAnswer, JobReport, Point, Ranked, SeriesInfo
from straced.model.moment import CallLatency, Moment
from straced.model.types import Total
from straced.store.fleet.dataset import FleetDataset
from straced.store.fleet.files import told
from straced.store.fleet.fleet_span import PROCESS, FleetSpan, whole
from straced.store.fleet.latencies import FleetLatencies, Key
from straced.store.history import MAX_SERIES
from straced.store.moment import CLOCK, MOST_EVENTS, MOST_NAMED

MINUTE_S, HOUR_S = 60.0, 3600.0
_ORDER = {
    "calls": "sum(calls)", "errors": "sum(errors)", "time": "sum(wall_ns)", "cpu": "sum(cpu_ns)", "rss": "max(rss_max)",
}  # fmt: skip


class FleetHistory:
    """What hosts did, by what they have exported; ``data.say`` is told what there is to say beside an answer.

    Args:
        data: of the hosts.
        clock: writes a moment down.
    """

    def __init__(self, data: FleetDataset, clock: Callable[[float], str]) -> None:
        self._data = data
        self._clock = clock

    async def top(self, select: Select) -> list[Ranked]:
        """List the busiest processes of a span; see :meth:`straced.client.client.Client.top`."""
        span = self._span(select)
        sums = ", ".join(f"sum({each})::bigint" for each in ("calls", "errors", "wall_ns", "waiting_ns", "cpu_ns"))
        rest = f"group by all order by {_ORDER[select.by]} desc nulls last, host, pid limit ?"
        rows = span.ask("minutes", f"{PROCESS}, {sums}, max(rss_max), min(time), max(time)", rest, select.limit)
        return [
            Ranked(
                process=SeriesInfo(
                    host=host, id=0, kind=kind, pid=pid, start_ticks=start, boot_id="", comm=comm, program=program,
                    uid=uid, gid=gid, private=False, labels={"job": job} if job else {}, first_s=first, last_s=last,
                ),
                calls=calls, errors=errors, wall_ns=wall, waiting_ns=waiting, cpu_ns=cpu or 0, rss_max_bytes=rss,
            )
            for (host, pid, start, kind, comm, program, job, uid, gid, calls, errors, wall, waiting, cpu, rss, first,
                 last) in rows
        ]  # fmt: skip

    async def risen(self, select: Select) -> list[CallLatency]:
        """List the calls whose 99th percentile rose; see :meth:`straced.client.client.Client.risen`."""
        span = self._span(select)
        return FleetLatencies(self._data, span.start, span.end, None, None).risen(select.limit)

    async def moment(self, select: Select) -> Moment:
        """Ask what happened in a span; see :meth:`straced.client.client.Client.moment`."""
        now = time.time()
        if select.since > now:
            raise InvalidArgument("the span is in the future", hint="write a time that has been")
        end = now if select.until is None else min(select.until, now)
        if end <= select.since:
            raise InvalidArgument("the span ends before it begins")
        step = MINUTE_S if end - select.since <= HOUR_S else HOUR_S
        span = self._span(select, step)
        by_step: dict[Key, CallDurations] = {}
        by_program: dict[Key, CallDurations] = {}
        slow: list[CallLatency] = []
        if select.pid is None:  # durations are by program
            took = FleetLatencies(self._data, span.start, span.end, select.job, select.name)
            by_step, by_program = took.by(f"floor(time / {step:.0f}) * {step:.0f}"), took.by("host, job, program")
            slow = took.slowest(select.limit)
        uncounted, lost = span.lost()
        happened = span.events(MOST_EVENTS)
        return Moment(
            start=span.start,
            end=span.end,
            step_s=step,
            steps=tuple(span.steps(step, span.end, by_step)),
            programs=tuple(span.uses(select.limit, by_program)),
            failing=tuple(span.failing(min(select.limit, MOST_NAMED))),
            slow=tuple(slow),
            alerts=tuple(span.alerts()),
            events=tuple(happened),
            known=span.known(),
            first=self._data.files.first,
            uncounted=uncounted,
            lost=lost,
            gaps_s=span.gaps_s(),
            clock_set=any(event.kind in CLOCK for event in happened),
        )

    async def history(self, select: Select) -> HistoryAnswer:
        """Sum up what processes did in a span; see :meth:`straced.client.client.Client.history`."""
        return self._answer(self._span(select))

    async def timeline(self, select: Select) -> list[Point]:
        """Sum up what processes did, step by step; see :meth:`straced.client.client.Client.timeline`."""
        step = max(MINUTE_S, select.step_s // MINUTE_S * MINUTE_S)
        span = self._span(select)
        sums = ", ".join(whole(each) for each in ("calls", "errors", "wall_ns", "waiting_ns"))
        what = f"floor(time / {step:.0f}) * {step:.0f} as begin, {sums}, sum(cpu_ns)::bigint, max(rss_max)"
        rows = span.ask("minutes", what, "group by begin order by begin")
        return [
            Point(
                time=begin, step_s=step, calls=calls, errors=errors, wall_ns=wall, waiting_ns=waiting, cpu_ns=cpu or 0,
                rss_max_bytes=rss,
            )
            for begin, calls, errors, wall, waiting, cpu, rss in rows
        ]  # fmt: skip

    async def report(self, job: str, since: float = 0.0, until: float | None = None) -> JobReport:
        """Sum up the resources of a job; see :meth:`straced.client.client.Client.report`."""
        span = self._span(Select(job=job, since=since, until=until))
        answer = self._answer(span)
        ends: dict[str, int] = {}
        for each in answer.processes:
            if each.kind == "process" and each.end is not None:
                word = each.end if each.exit_status is None else f"{each.end} {each.exit_status}"
                ends[word] = ends.get(word, 0) + 1
        took = FleetLatencies(self._data, span.start, span.end, job, None).by("host, job, program")
        return JobReport(
            job=job,
            programs=tuple(span.uses(MAX_SERIES, took)),
            answer=answer,
            exit_statuses=ends,
            events=tuple(span.events(1000)),
            alerts=tuple(span.alerts()),
        )

    def _answer(self, span: FleetSpan) -> HistoryAnswer:
        found, counted = span.calls()
        rows, total = aggregation.table(aggregation.merge_rows(found), "wall")
        processes = span.processes(MAX_SERIES + 1)
        _uncounted, lost = span.lost()
        return HistoryAnswer(
            start=max(span.start, self._data.files.first),
            end=span.end,
            processes=tuple(processes[:MAX_SERIES]),
            rows=rows,
            total=total if counted else Total(),
            peaks=span.peaks(),
            counted=counted,
            lost=lost,
            gaps_s=span.gaps_s(),
        )

    def _span(self, select: Select, step: float = MINUTE_S) -> FleetSpan:
        """The span in whole steps; what there is to say of it is said."""
        now = time.time()
        end = now if select.until is None else min(select.until, now)
        start, end = max(0.0, select.since // step * step), min(-(-end // step) * step, now)
        for words in told(self._data.files, max(start, self._data.files.first), end, self._clock):
            self._data.say(words)
        return FleetSpan(self._data, msgspec.structs.replace(select, since=start, until=end), start, end)
