"""Windows and events for programs without an event loop: iterators whose every step waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from straced.blocking.loop_thread import SharedLoop
from straced.model.types import Event, Summary
from straced.tracers.event_stream import EventStream


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


class BlockingEvents:
    """Forks, execs and exits in the order in which they happened; made by :meth:`BlockingSession.events`."""

    def __init__(self, loop: SharedLoop, events: EventStream) -> None:
        self._loop = loop
        self._events = events

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        found = self._loop.wait_for(self._events.read(1))
        if not found:
            raise StopIteration
        return found[0]

    def close(self) -> None:
        """Listen no more, and forget what waits. Idempotent.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            StracedError: the profiler was closed meanwhile, by another thread.
        """
        self._loop.wait_for(self._events.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
