"""Those who listen to the events or the slow calls of one session, for the client whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from straced.errors import InvalidArgument
from straced.ipc.protocol import TooMuch
from straced.model.slow import SlowSyscall
from straced.model.types import Event
from straced.tracers.event_stream import EventStream, SlowCallStream

MAX_LISTENERS = 8
MAX_EVENTS = 1000
"""In one answer."""


class EventListeners:
    """Numbered streams, which the client reads piece by piece.

    Args:
        is_hidden: whether what a process does is not the client's to know.
    """

    def __init__(self, is_hidden: Callable[[int], bool]) -> None:
        self._is_hidden = is_hidden
        self._streams: dict[int, EventStream | SlowCallStream] = {}
        self._number = 0

    def add(self, listen: Callable[[], EventStream | SlowCallStream]) -> int:
        """Listen from now on; the number to read by.

        Raises:
            TooMuch: so many listen already.
        """
        if len(self._streams) >= MAX_LISTENERS:
            raise TooMuch(f"{MAX_LISTENERS} listen to this session already", hint="close some")
        self._number += 1
        self._streams[self._number] = listen()
        return self._number

    async def read(self, number: int) -> Sequence[Event | SlowSyscall]:
        """The next events, as soon as there are any; none at the end, and the number is forgotten."""
        stream = self._streams.get(number)
        if stream is None:
            raise InvalidArgument(f"nobody listens to this session by number {number}")
        found: Sequence[Event | SlowSyscall]
        while found := await stream.read(MAX_EVENTS):
            if seen := [event for event in found if not self._is_hidden(event.pid)]:
                return seen
        self._streams.pop(number, None)
        return []

    async def remove(self, number: int) -> None:
        """Listen no more; whoever reads is told that it is over."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            await stream.aclose()
