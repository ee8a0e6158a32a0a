"""A full trace, for programs without an event loop."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from straced.blocking.loop_thread import SharedLoop
from straced.model.types import Target
from straced.tracers.base import Ending

if TYPE_CHECKING:
    from straced.tracers.recording import Recording


class BlockingRecording:
    """Tell how a full trace goes; made by :meth:`BlockingProfiler.trace`. See :class:`straced.Recording`.

    Leaving it as a ``with`` block stops it.
    """

    def __init__(self, loop: SharedLoop, recording: Recording) -> None:
        self._loop = loop
        self._recording = recording

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def target(self) -> Target:
        """The process, as it was at the attach."""
        return self._recording.target

    @property
    def tracer(self) -> str:
        """The tracer that writes it: ``ebpf`` or ``strace``."""
        return self._recording.tracer

    @property
    def tracer_reason(self) -> str:
        """Why that one."""
        return self._recording.tracer_reason

    @property
    def path(self) -> Path | None:
        """The file."""
        return self._recording.path

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._recording.alive

    @property
    def dropped_lines(self) -> int:
        """The lines that are missing since they were written faster than they were read; known at the end."""
        return self._recording.dropped_lines

    def wait(self) -> Ending:
        """Wait until the trace is over: the target ended, a limit was reached, or it was stopped.

        Returns:
            Why it is over.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._recording.wait())

    def stop(self) -> Ending:
        """Let go of the target, which runs on in the state that it was in; the file stays. Idempotent.

        Returns:
            Why the trace is over.

        Raises:
            TimeoutError: strace did not end, though it was killed.
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        return self._loop.wait_for(self._recording.stop())
