"""What happens to processes, as an asynchronous iterator that listens from its making on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from straced.concurrency.shielding import Signal
from straced.model.slow import SlowSyscall
from straced.model.types import Event

LIMIT = 100_000
"""Events that wait for whoever reads them; what comes then is lost to them, and counted."""
Item = TypeVar("Item")


class LiveStream(Generic[Item]):
    """What one session tells, in the order in which it happened.

    It listens from the call that made it until it is closed, left as an ``async with`` block, or dropped.
    """

    def __init__(self, closed: Callable[[], None] | None = None) -> None:
        """Begin with nothing.

        Args:
            closed: called when nobody listens here any more.
        """
        self._waiting: deque[Item] = deque()
        self._news = Signal()
        self._is_over = False
        self._closed = closed

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_over

    def put(self, event: Item) -> bool:
        """Add an event; false when too many wait already."""
        if len(self._waiting) >= LIMIT:
            return False
        self._waiting.append(event)
        self._news.happened()
        return True

    def end(self) -> None:
        """Nothing more will come; what waits can be read still."""
        self._is_over = True
        self._news.happened()

    async def read(self, most: int) -> list[Item]:
        """Wait for events, and return those that are there; none at the end."""
        while not self._waiting and not self._is_over:
            await self._news.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    async def aclose(self) -> None:
        """Listen no more, and forget what waits. Idempotent."""
        self.end()
        self._waiting.clear()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        found = await self.read(1)
        if not found:
            raise StopAsyncIteration
        return found[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class EventStream(LiveStream[Event]):
    """Forks, execs and exits of one session."""


class SlowCallStream(LiveStream[SlowSyscall]):
    """Calls over the limit of one session: each as it returns, and before that once while it is inside."""
