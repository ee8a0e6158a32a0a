"""A session, for programs without an event loop."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from straced.blocking.loop_thread import SharedLoop
from straced.blocking.streams import BlockingEvents, BlockingSlowCalls, BlockingWindows
from straced.model.types import Sample, Summary, Target
from straced.tracers.base import Ending

if TYPE_CHECKING:
    from straced.profiling.session import Session


class BlockingSession:
    """Tell what one target does, until it ends or is let go of; made by :meth:`BlockingProfiler.attach`.

    See :class:`straced.Session`. Leaving it as a ``with`` block detaches.
    """

    process: subprocess.Popen[Any] | None = None
    """The program, when :meth:`BlockingProfiler.spawn` started it; the caller's own, to wait for or to kill."""

    def __init__(self, loop: SharedLoop, session: Session) -> None:
        self._loop = loop
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    @property
    def target(self) -> Target:
        """The process, as it was when that was last looked at: at the attach, or at the end."""
        return self._session.target

    @property
    def tracer(self) -> str:
        """The tracer that counts: ``ebpf``, ``strace`` or ``sampler``."""
        return self._session.tracer

    @property
    def tracer_reason(self) -> str:
        """Why this tracer serves: ``asked for``, or what ruled out those before it."""
        return self._session.tracer_reason

    @property
    def labels(self) -> dict[str, str]:
        """The labels that are kept with every summary."""
        return self._session.labels

    @property
    def alive(self) -> bool:
        """Whether the target is still being counted, or is handed over to a full trace."""
        return self._session.alive

    @property
    def ended(self) -> bool:
        """Whether the session is over, so that :meth:`result` does not wait."""
        return self._session.ended

    def read(self) -> Sample:
        """Read the raw counters without detaching.

        Returns:
            The counters so far; after the end, the last ones.

        Raises:
            NotLive: strace tells nothing before its end, nor does anybody while a full trace has the target.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._session.read())

    def summary(self, since: Sample | None = None) -> Summary:
        """Sum up what the target did, without detaching.

        Args:
            since: an earlier :meth:`read` of this session; the attach when left out.

        Returns:
            The figures from then until now; the result once the session is over and ``since`` is left out.

        Raises:
            NotLive: strace tells nothing before its end, nor does anybody while a full trace has the target.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._session.summary(since))

    def every(self, seconds: float) -> BlockingWindows:
        """Sum up each interval, on a fixed cadence, until the session is over.

        Args:
            seconds: the length of an interval, more than 0.

        Returns:
            An iterator of summaries, one an interval, each step of which waits for it; the last may be shorter.

        Raises:
            InvalidArgument: no interval can be this long.
            NotLive: strace tells nothing before its end.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return BlockingWindows(self._loop, self._loop.call(lambda: self._session.every(seconds)))

    def events(self) -> BlockingEvents:
        """Listen to the forks, execs and exits of the target and its descendants, from this call on.

        Returns:
            An iterator of :class:`straced.Event`, in the order in which they happened, until the session is over. It
            listens until it is closed, left as a ``with`` block, or dropped.

        Raises:
            NotLive: only eBPF sees them as they happen.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return BlockingEvents(self._loop, self._loop.call(self._session.events))

    def slow_calls(self) -> BlockingSlowCalls:
        """Listen to the calls that take longer than the limit that this session was given, from this call on.

        Returns:
            An iterator of :class:`straced.SlowSyscall`, each as it returns, and before that once while it is inside,
            until the session is over. It listens until it is closed, left as a ``with`` block, or dropped.

        Raises:
            NotLive: the session has no limit, or this tracer cannot tell.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return BlockingSlowCalls(self._loop, self._loop.call(self._session.slow_calls))

    def wait(self) -> Ending:
        """Wait until the session is over.

        Returns:
            Why it is: the target ended, a limit was reached, or somebody detached.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._session.wait())

    def result(self) -> Summary:
        """Wait until the session is over, and sum it up.

        Returns:
            The final summary; kept, so it may be asked for again.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._session.result())

    def detach(self, why: str = "detach") -> Summary:
        """Let go of the target, which runs on in the state that it was in. Idempotent.

        Args:
            why: what the summary gives as its ``end``; ``detach`` is told as ``detached``. The first reason stands.

        Returns:
            The final summary.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._session.detach(why))
