"""Figures of a target that strace counts, while it counts: by eBPF beside it, for strace tells none before its end."""

from __future__ import annotations

from msgspec.structs import replace

from straced.concurrency.shielding import Turns, background
from straced.errors import NoResources, NotLive, StracedError, TracerUnavailable
from straced.manager import log_events
from straced.model.types import Reason, Summary
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session


class LiveFigures:
    """Counts sessions of strace a second time. Loads nothing before it is first asked, and its failure is nobody's.

    Args:
        wanted: count from the attach on; else from the first question on, which may be the next attach.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._profiler = Profiler(tracer="ebpf")
        self._beside: dict[Session, Session] = {}
        self._refusal: StracedError | None = None
        self._turns = Turns()

    async def summary(self, session: Session) -> Summary | None:
        """The figures so far; ``None`` where eBPF cannot be had, or the session is over."""
        self.wanted = True
        try:
            return await session.summary()  # while a full trace has the target, eBPF may count for the session itself
        except NotLive:
            beside = await self.begin(session)
        if beside is None:
            return None
        try:
            found = await beside.summary()
        except StracedError as error:
            log_events.debug("strace_read_failed", pid=session.target.pid, error=error.reason)
            return None
        late_s = found.window.start - session.began.epoch_s
        return _in_time(_since(found, late_s), session.options.time)

    async def begin(self, session: Session) -> Session | None:
        """Count this session beside strace from now on, if it is not yet."""
        async with self._turns:
            if session not in self._beside and self._refusal is None and session.alive:
                await self._attach(session)
        return self._beside.get(session)

    async def _attach(self, session: Session) -> None:
        pid = session.target.pid
        try:
            beside = await self._profiler.attach(pid, follow=session.options.follow)
        except StracedError as error:
            log_events.debug("strace_read_unavailable", pid=pid, error=error.reason)
            if isinstance(error, TracerUnavailable) and not isinstance(error, NoResources):
                self._refusal = error  # it would be the same each time
            return
        self._beside[session] = beside
        session.when_over(lambda _: self._end_soon(session))
        if beside.target.start_ticks != session.target.start_ticks:
            await self.end(session)

    async def end(self, session: Session) -> None:
        """Count it no more."""
        if (beside := self._beside.pop(session, None)) is not None:
            await beside.detach()

    def _end_soon(self, session: Session) -> None:
        if (beside := self._beside.pop(session, None)) is not None:
            background(beside.detach())

    async def close(self) -> None:
        """End all, and unload."""
        self._beside.clear()
        await self._profiler.close()


def _since(summary: Summary, late_s: float) -> Summary:
    late = Reason("since", f"counted by eBPF beside strace, from {max(0.0, late_s):.3f} s after the attach on")
    quality = summary.quality
    kind = "partial" if quality.kind == "exact" else quality.kind
    return replace(summary, quality=replace(quality, kind=kind, reasons=(*quality.reasons, late)))


def _in_time(summary: Summary, kind: str) -> Summary:
    """CPU time, where the session was asked for that: the other figures of the same target are in it, too."""
    whole = summary.total.working_ns
    if kind != "cpu" or whole is None:
        return summary
    rows = [replace(row, time_pct=_share(row.working_ns, whole)) for row in summary.rows]
    return replace(summary, time="cpu", rows=tuple(rows))


def _share(part: int | None, whole: int) -> float | None:
    if part is None:
        return None
    return 100.0 * part / whole if whole else 0.0
