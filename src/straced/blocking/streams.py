"""Windows and events for programs without an event loop: iterators whose every step waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from straced.blocking.loop_thread import SharedLoop
from straced.model.slow import SlowSyscall
from straced.model.types import Event, Summary
from straced.tracers.event_stream import LiveStream

Item = TypeVar("Item")


class BlockingWindows:
    """Summaries, one an interval, until the session is over; made by :meth:`BlockingSession.every`."""

    def __init__(self, loop: SharedLoop, windows: AsyncIterator[Summary]) -> None:
        self._loop = loop
        self._windows = windows

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Summary:
        async def following() -> Summary | None:
            return await anext(self._windows, None)

        summary = self._loop.wait_for(following())
        if summary is None:
            raise StopIteration
        return summary


class BlockingStream(Generic[Item]):
    """What a session tells, in the order in which it happened; each step waits."""

    def __init__(self, loop: SharedLoop, stream: LiveStream[Item]) -> None:
        self._loop = loop
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        found = self._loop.wait_for(self._stream.read(1))
        if not found:
            raise StopIteration
        return found[0]

    def close(self) -> None:
        """Listen no more, and forget what waits. Idempotent.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        self._loop.wait_for(self._stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingEvents(BlockingStream[Event]):
    """Forks, execs and exits; made by :meth:`BlockingSession.events`."""


class BlockingSlowCalls(BlockingStream[SlowSyscall]):
    """Calls over the limit; made by :meth:`BlockingSession.slow_calls`."""
