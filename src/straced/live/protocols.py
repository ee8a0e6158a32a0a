"""What the screen needs of a place that rows come from, and of what can be done to a process."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from straced.model.frame import Frame, Key, ProcessDetail

if TYPE_CHECKING:
    from straced.profiling.api import AsyncSession
    from straced.waits.model import Why


class FrameSource(Protocol):
    """Rows from somewhere. All methods are called on one thread, with a running loop."""

    @property
    def name(self) -> str:
        """``local``, ``service`` or ``history``."""
        ...

    async def frame(self) -> Frame:
        """What there is now. Rates need two frames: the first has none."""
        ...

    def move(self, steps: int) -> bool:
        """Go back (below zero) or forth in time; false where there is only now."""
        ...

    def go_to(self, epoch_s: float) -> bool:
        """Show the time that a moment is in; false where there is only now."""
        ...

    async def settle(self) -> None:
        """What is better done after a frame was shown: to attach to processes that are new."""
        ...

    async def detail(self, key: Key) -> ProcessDetail:
        """All about one process, over the window of the last frame."""
        ...

    async def count_files(self, pid: int) -> AsyncSession:
        """Begin to count a process by file and peer; whoever asked lets go of it.

        Raises:
            StracedError: why that cannot be, and what to do.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. Idempotent."""
        ...


class TraceState(Struct, frozen=True, kw_only=True):
    """A full trace that runs, or has ended."""

    pid: int
    path: Path
    max_bytes: int
    max_seconds: float
    bytes: int = 0
    running: bool = True
    ended: str = ""
    """Why it ended."""


class Actions(Protocol):
    """What can be done to a process of this machine; each names it by pid and start time."""

    @property
    def folder(self) -> str:
        """Where full traces go."""
        ...

    @property
    def trace_limits(self) -> str:
        """When a full trace ends by itself, in words."""
        ...

    async def why(self, key: Key) -> Why:
        """Why it waits: the answer of ``straced why``."""
        ...

    async def signal(self, key: Key, number: int) -> None:
        """Send a signal, by pidfd."""
        ...

    async def start_trace(self, key: Key) -> TraceState:
        """Begin a full trace into a file."""
        ...

    async def stop_trace(self, key: Key) -> TraceState:
        """End it; the file stays."""
        ...

    def traces(self) -> tuple[TraceState, ...]:
        """All that were started, the last one last."""
        ...

    async def close(self) -> None:
        """End the traces that run. Idempotent."""
        ...


class FrameListener(Protocol):
    """Who is told of what is new; called on another thread than the screen's."""

    def frame_ready(self, frame: Frame) -> None: ...

    def detail_ready(self, detail: ProcessDetail) -> None: ...

    def failed(self, error: BaseException) -> None: ...


class ScreenFeed(Protocol):
    """All that the screen knows of the rest: frames come to its listener, requests go out and are answered later."""

    @property
    def folder(self) -> str:
        """Where full traces go."""
        ...

    @property
    def trace_limits(self) -> str:
        """When a full trace ends by itself, in words."""
        ...

    def start(self, listener: FrameListener) -> None: ...

    def close(self) -> None: ...

    def choose(self, key: Key | None) -> None: ...

    def look_at_files(self, wanted: bool) -> None: ...

    def move(self, steps: int) -> Future[bool]: ...

    def go_to(self, epoch_s: float) -> Future[bool]: ...

    def why(self, key: Key) -> Future[Why]: ...

    def signal(self, key: Key, number: int) -> Future[None]: ...

    def start_trace(self, key: Key) -> Future[TraceState]: ...

    def stop_trace(self, key: Key) -> Future[TraceState]: ...

    def traces(self) -> tuple[TraceState, ...]: ...
