"""What a service tells of its own accord: ticks out of their parts, events and alerts, for whoever reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from straced.ipc.messages import Gap, TickPart
from straced.ipc.protocol import Message
from straced.model.alerts import AlertRow
from straced.model.tick import ServiceEvent, Tick

MAX_WAITING = 1000
"""Notifications that wait for whoever reads them here."""
News = Tick | ServiceEvent | AlertRow | Gap
_KINDS: dict[str, Any] = {"event": ServiceEvent, "alert": AlertRow, "gap": Gap}


class Notifications:
    """A queue of what came; the oldest makes way."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[News | None] = asyncio.Queue(MAX_WAITING)
        self._parts: list[TickPart] = []

    async def get(self) -> News | None:
        """The next one; ``None`` when the connection is over."""
        return await self._waiting.get()

    def take(self, message: Message) -> None:
        """Decode one, and keep it; one of a kind that is not known here is nothing."""
        if message.method in _KINDS:
            self._put(msgspec.json.decode(message.params, type=_KINDS[message.method]))
        elif message.method == "tick":
            tick = self._tick(msgspec.json.decode(message.params, type=TickPart))
            if tick is not None:
                self._put(tick)

    def end(self) -> None:
        """Nothing more will come."""
        self._put(None)

    def _tick(self, part: TickPart) -> Tick | None:
        if self._parts and self._parts[0].sequence != part.sequence:
            self._parts = []
        self._parts.append(part)
        if len(self._parts) < part.parts:
            return None
        parts, self._parts = self._parts, []
        return tick_of(parts)

    def _put(self, news: News | None) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(news)


def tick_of(parts: Sequence[TickPart]) -> Tick:
    """A tick from its parts."""
    first = parts[0]
    return Tick(
        epoch_s=first.epoch_s,
        monotonic_ns=first.monotonic_ns,
        duration_ns=first.duration_ns,
        boot_id=first.boot_id,
        host=first.host,
        processes=tuple(sample for part in parts for sample in part.processes),
        late=first.late,
        cut=sum(part.cut for part in parts),
    )
