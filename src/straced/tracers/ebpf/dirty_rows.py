"""Which rows changed since a reader last asked, for several readers of one engine."""

from __future__ import annotations

import re

from straced.tracers.ebpf import wire
from straced.tracers.ebpf.engine import Engine

CHANGED = re.compile(rb"\x01+")
_NOTHING = bytes(wire.ROWS_LIMIT)


class DirtyRows:
    """The programs set a byte for each row they change. It is cleared once, and every reader is told."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: list[bytearray] = []

    def subscribe(self) -> int:
        """A number for :meth:`take`. What changed before is not told: a new reader knows nothing, and reads it all."""
        self._waiting.append(bytearray(wire.ROWS_LIMIT))
        return len(self._waiting) - 1

    def take(self, reader: int) -> bytearray:
        """A byte for each row in use, 1 where it changed since this reader asked last.

        Ask within :meth:`Engine.hold`: what is handed on between the asking and the reading would be read at one end
        only. And have a barrier between this and the reading of these rows: a byte that is set again in between
        belongs to a change that is read already, or comes with the next asking.
        """
        used = min(self._engine.control.next_row + 1, self._engine.rows_max)
        view = self._engine.touched
        changed = bytes(view[:used])
        for found in CHANGED.finditer(changed):
            first, last = found.span()
            view[first:last] = _NOTHING[: last - first]
        new = int.from_bytes(changed, "little")
        for waiting in self._waiting:
            waiting[:used] = (int.from_bytes(waiting[:used], "little") | new).to_bytes(used, "little")
        mine = self._waiting[reader]
        taken = mine[:used]
        mine[:used] = _NOTHING[:used]
        return taken
