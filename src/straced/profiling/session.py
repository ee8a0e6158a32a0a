"""A session: one target under profile, from attach to result, whatever tracers took turns in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from straced.errors import NotLive
from straced.model.types import Overhead, Sample, Summary
from straced.profiling import segments
from straced.profiling.arguments import check_interval
from straced.profiling.attendance import AttendedTarget
from straced.tracers.base import Ending, EventSource, SlowCallSource
from straced.tracers.event_stream import EventStream, SlowCallStream

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


class Session(AttendedTarget):
    """Tell what one target does, until it ends or is let go of; made by :meth:`Profiler.attach`.

    It notices the end of its target by itself, and gives back what it holds, whether or not anybody asks. All methods
    may be called again after the end. Leaving it as an ``async with`` block detaches. A forked copy is inert: its
    methods raise :class:`~straced.errors.ForkedCopy`.
    """

    process: asyncio.subprocess.Process | None = None
    """The program, when :meth:`Profiler.spawn` started it; the caller's own, to wait for or to kill."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.detach()

    @property
    def tracer(self) -> str:
        """The tracer that counts: ``ebpf``, ``strace`` or ``sampler``."""
        return self._tracer.name

    @property
    def uses_ptrace(self) -> bool:
        """Whether the target is slowed down by ptrace(2), and nothing is told of it before the end."""
        return self._tracer.uses_ptrace

    @property
    def helper_pids(self) -> list[int]:
        """The pids of the live straces that count for this session; none for other tracers."""
        return self._inner.helper_pids if self._inner is not None and self._owner.here else []

    @property
    def recording(self) -> StraceRecording | None:
        """The full trace that has the target now, in place of the tracer."""
        return self._recording

    @property
    def is_handed_over(self) -> bool:
        """Whether somebody else than the tracer has the target now, or nobody: also so after the end."""
        return self._inner is None

    @property
    def is_task_limited(self) -> bool:
        """Whether there were too many tasks at the attach already, and only some are traced."""
        coverage = self._inner.coverage if self._inner is not None else None
        return coverage is not None and coverage.task_limited

    @property
    def began(self) -> segments.Instant:
        """The moment at which counting began, on both clocks."""
        return self._counted.began

    @property
    def ended(self) -> bool:
        """Whether the session is over, so that :meth:`result` does not wait."""
        return self._result is not None

    @property
    def final(self) -> Summary | None:
        """The summary that :meth:`result` returns, once the session is over."""
        return self._result

    @property
    def last_sample(self) -> Sample | None:
        """The last counters of the tracer that saw the end."""
        return self._last_sample

    @property
    def alive(self) -> bool:
        """Whether the target is still being counted, or is handed over to a full trace."""
        if self._result is not None or not self._owner.here:
            return False
        return self._recording is not None or self._inner is None or self._inner.alive

    def overhead(self, sample: Sample, duration_ns: int) -> Overhead:
        """Estimate how much the target was slowed down.

        Args:
            sample: what was counted, as the difference of two readings.
            duration_ns: nanoseconds between these.

        Returns:
            The slowdown, unknown while nobody counts.
        """
        return Overhead(pct=None, basis="unknown") if self._inner is None else self._inner.overhead(sample, duration_ns)

    async def read(self) -> Sample:
        """Read the raw counters without detaching.

        Returns:
            The counters so far; after the end, the last ones.

        Raises:
            NotLive: strace tells nothing before its end, nor does anybody while a full trace has the target.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        self._enter()
        if self._inner is not None:
            return await self._inner.read()
        if self._last_sample is None:
            raise NotLive("a full trace has the target", hint="wait until that is over", pid=self.target.pid)
        return self._last_sample

    async def summary(self, since: Sample | None = None) -> Summary:
        """Sum up what the target did, without detaching.

        Args:
            since: an earlier :meth:`read` of this session; the attach when left out.

        Returns:
            The figures from then until now; the result once the session is over and ``since`` is left out.

        Raises:
            NotLive: strace tells nothing before its end, nor does anybody while a full trace has the target.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        self._enter()
        if self._result is not None and since is None:
            return self._result
        return self._so_far(await self.read(), since, self._ending or Ending(reason="running"))

    def events(self) -> EventStream:
        """Listen to the forks, execs and exits of the target and its descendants, from this call on.

        Returns:
            An asynchronous iterator of :class:`~straced.Event`, in the order in which they happened, until the session
            is over. It listens until it is closed, left as an ``async with`` block, or dropped.

        Raises:
            NotLive: only eBPF sees them as they happen.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        self._enter()
        if isinstance(self._inner, EventSource):
            return self._inner.events()
        if self._result is not None and self._tracer.tells_events:
            nothing = EventStream()
            nothing.end()
            return nothing
        raise NotLive(f"the {self.tracer} tracer tells no events", hint='use tracer="ebpf"', pid=self.target.pid)

    def slow_calls(self) -> SlowCallStream:
        """Listen to the calls that take longer than the limit that this session was given, from this call on.

        Returns:
            An asynchronous iterator of :class:`straced.SlowSyscall`, each as it returns, and before that
            once while it is inside, until the session is over. It listens until it is closed, left as an ``async with``
            block, or dropped.

        Raises:
            NotLive: the session has no limit, or this tracer cannot tell.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        self._enter()
        if self.options.slower_ns is None:
            raise NotLive("this session has no limit over which calls are slow", pid=self.target.pid)
        if isinstance(self._inner, SlowCallSource):
            return self._inner.slow_calls()
        if self._result is not None and self._tracer.tells_events:
            nothing = SlowCallStream()
            nothing.end()
            return nothing
        raise NotLive(f"the {self.tracer} tracer tells no slow calls", hint='use tracer="ebpf"', pid=self.target.pid)

    def every(self, seconds: float) -> AsyncIterator[Summary]:
        """Sum up each interval, on a fixed cadence, until the session is over.

        Args:
            seconds: the length of an interval, more than 0.

        Returns:
            An asynchronous iterator of summaries, one an interval; the last one may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
            NotLive: strace tells nothing before its end.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        check_interval(seconds)
        self._enter()
        if self._result is None and self.uses_ptrace:
            raise NotLive(
                "strace gives its counts when it lets go, so there are no windows",
                hint='use tracer="ebpf", which is live',
                pid=self.target.pid,
            )
        return self._windows(seconds)

    async def _windows(self, seconds: float) -> AsyncIterator[Summary]:
        before: Sample | None = None
        due = time.monotonic()
        if self._result is not None:
            return
        while True:
            due += seconds
            await self._over_within(due - time.monotonic())
            if self._result is not None:  # somebody may have detached in this very moment
                last = self._result
                if self._last_sample is not None:
                    last = self._so_far(self._last_sample, before, self._ending or Ending(reason="exited"))
                yield last
                return
            sample = await self.read()
            yield self._so_far(sample, before, Ending(reason="running"))
            before = sample

    async def _over_within(self, seconds: float) -> None:
        """Let so much time pass, or less if the session is over before."""
        until = time.monotonic() + seconds
        await asyncio.sleep(0)  # a reader that is late lets others run all the same
        while self._result is None and (left := until - time.monotonic()) > 0:
            await self._changed.wait(left)

    async def wait(self) -> Ending:
        """Wait until the session is over.

        Returns:
            Why it is: the target ended, a limit was reached, or somebody detached.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        self._enter()
        while self._ending is None:
            if self._fault is not None:
                raise self._fault
            await self._changed.wait()
        return self._ending

    async def result(self) -> Summary:
        """Wait until the session is over, and sum it up.

        Returns:
            The final summary; kept, so it may be asked for again.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        await self.wait()
        assert self._result is not None
        return self._result

    async def detach(self, why: str = "detach") -> Summary:
        """Let go of the target, which runs on in the state that it was in. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Args:
            why: what the summary gives as its ``end``; ``detach`` is told as ``detached``. The first reason stands.

        Returns:
            The final summary.

        Raises:
            NoResources: there is no descriptor to read a full trace back with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this session.
        """
        return await self.end(why)

    def _so_far(self, sample: Sample, since: Sample | None, ending: Ending) -> Summary:
        """The figures up to ``sample``: since the attach, all segments of it, or since an earlier sample."""
        inner, tracer = self._inner, self._tracer.name
        if since is not None:
            window = segments.window_of(since, sample, inner, tracer)
            return self._summary([window], ending, whole=False)
        if inner is not None:
            return self._summary(self._counted.with_now(sample, inner, tracer), ending)
        return self._summary(self._counted.segments, ending)
