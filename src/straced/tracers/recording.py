"""A full trace that is being written, by whatever tracer."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Signal
from straced.model.types import Reason, Target
from straced.tracers.base import Ending


class Recording(ABC):
    """Tell how a full trace goes; made by :meth:`Profiler.trace`.

    It notices the end of its target by itself. Leaving it as an ``async with`` block stops it. A forked copy is inert.

    Args:
        target: the process, as it was at the attach.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        """The process, as it was at the attach."""
        self.tracer = ""
        """The tracer that writes it: ``ebpf`` or ``strace``."""
        self.recorded = False
        """Whether the kernel records it, so that the target is hardly held up."""
        self.tracer_reason = ""
        """Why that one."""
        self.path: Path | None = None
        """The file, where there is one."""
        self.started_ns = time.monotonic_ns()
        """When it began, on the monotonic clock, in nanoseconds."""
        self.ended_ns: int | None = None
        """When it ended, likewise; ``None`` while it runs."""
        self.dropped_lines = 0
        """Calls that are missing since they came faster than they could be written or read; known at the end."""
        self.reasons: list[Reason] = []
        """Why the trace is not simply whole and in order."""
        self.from_the_first = False
        """It began with the first instruction of a program behind a gate."""
        self._ending: Ending | None = None
        self._owner = OwnerBinding("Recording")
        self._over = Signal()
        self._when_over: list[Callable[[], None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it still runs."""

    @property
    @abstractmethod
    def cut(self) -> str | None:
        """Why the trace ended early because of its output: ``disk_full`` or ``file_limit``; ``None`` otherwise."""

    @abstractmethod
    async def stop(self) -> Ending:
        """Let go of the target, which runs on in the state that it was in; the file stays. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Returns:
            Why the trace is over.

        Raises:
            TimeoutError: strace did not end, though it was killed.
            NoResources: there is no descriptor left to do it with; the target runs on, untraced.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """

    @abstractmethod
    def _enter(self) -> None:
        """Before anything else: bind to this process and loop, and notice the end by ourselves in this loop."""

    async def wait(self) -> Ending:
        """Wait until the trace is over: the target ended, a limit was reached, or it was stopped.

        Returns:
            Why it is over.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this recording.
        """
        self._enter()
        while self._ending is None:
            await self._over.wait()
        return self._ending

    def when_over(self, call: Callable[[], None]) -> None:
        """Call back once the trace is over and its file complete; at once when it is.

        Args:
            call: called in the event loop.
        """
        if self._ending is None:
            self._when_over.append(call)
        else:
            call()

    def _end_with(self, ending: Ending) -> None:
        self._ending = ending
        self._over.happened()
        calls, self._when_over = self._when_over, []
        for call in calls:
            call()
