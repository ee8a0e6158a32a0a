"""What happens to processes that a service counts, as it is told to its client."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from straced.client.connection import Channel
from straced.ipc import messages
from straced.ipc.messages import ListenerParams, Listening, ListenParams, SessionParams, Told
from straced.model.slow import SlowSyscall
from straced.model.types import Event

Item = TypeVar("Item")


class RemoteStream(Generic[Item]):
    """What one session tells, in the order in which it happened.

    The service is asked at the call that made this one, and listens some milliseconds later. Entered as an
    ``async with`` block, it does so for certain: what happens in the block is told.
    """

    what: ClassVar[Told]
    """What it asks for."""
    kind: ClassVar[Any]
    """The type of an answer."""

    def __init__(self, client: Channel, params: SessionParams) -> None:
        self._client = client
        self._session = params.session
        asked = ListenParams(session=params.session, what=self.what)
        self._asked = client.work(client.request("session.listen", asked, Listening))
        self._waiting: deque[Item] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._is_over = False

    async def __aenter__(self) -> Self:
        await self._listener()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._waiting:
            if self._is_over:
                raise StopAsyncIteration
            if self._reading is None:
                self._reading = self._client.work(self._read())
            await self._client.outcome(self._reading)  # it goes on when this is cancelled, so that no event is lost
        return self._waiting.popleft()

    async def _read(self) -> None:
        try:
            listener = await self._listener()
            found = await self._client.request("session.events", listener, self.kind, timeout_s=None)
            self._waiting.extend(found)
            self._is_over |= not found
        finally:
            self._reading = None

    async def aclose(self) -> None:
        """Listen no more, and forget what waits. Idempotent.

        Raises:
            StracedError: what the service refused with, as its own type.
            ServiceUnreachable: it went away.
        """
        if not self._is_over:
            self._is_over = True
            await self._client.request("session.unlisten", await self._listener(), messages.Nothing)
        self._waiting.clear()

    async def _listener(self) -> ListenerParams:
        return ListenerParams(session=self._session, listener=(await self._client.outcome(self._asked)).listener)


class RemoteEvents(RemoteStream[Event]):
    """Forks, execs and exits of one session; made by :meth:`RemoteSession.events`."""

    what = "events"
    kind = list[Event]


class RemoteSlowCalls(RemoteStream[SlowSyscall]):
    """Calls over the limit of one session; made by :meth:`RemoteSession.slow_calls`."""

    what = "slow_calls"
    kind = list[SlowSyscall]
