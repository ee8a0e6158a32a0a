"""From the shared memory of the programs to values: which rows changed, and what stands in them.

The programs set a byte for each row they change. Only those rows are read again; the others cost nothing.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator

from msgspec import Struct

from straced.model import Counters
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.decoding import OwnerFacts, decode, decode_owner
from straced.tracers.ebpf.engine import Engine

_NOTHING = bytes(wire.ROWS_LIMIT)
_EXTRA_AT = wire.Row.extra.offset
_NO_EXTRA = bytes(4)
_EXTRA_ROWS = 16
_MANY = 1000


class Snapshot(Struct, frozen=True):
    """All rows by owner and place, and the owners in use, at one moment. Valid until the next one is taken."""

    rows: dict[int, dict[int, Counters]]
    owners: dict[int, OwnerFacts]

    def members(self, session: int) -> Iterator[OwnerFacts]:
        """The session itself, its processes and their threads."""
        return (owner for owner in self.owners.values() if owner.session == session or owner.index == session)

    def by_session(self) -> dict[int, list[OwnerFacts]]:
        """The members of all sessions, by one walk over the owners."""
        found: dict[int, list[OwnerFacts]] = {}
        for owner in self.owners.values():
            found.setdefault(owner.session or owner.index, []).append(owner)
        return found


class Reader:
    """Reads an engine's rows, and remembers what it decoded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows: dict[int, dict[int, Counters]] = {}
        self._owner_of: dict[int, int] = {}
        self._owner_raw: dict[int, bytes] = {}
        self._owner_facts: dict[int, OwnerFacts] = {}

    def snapshot(self, *, again: Iterable[int] = ()) -> Snapshot:
        """Read everything once: each count exactly once, whatever ends meanwhile.

        ``again`` names owners whose rows are read even if nothing says that they changed.
        """
        engine = self._engine
        touched = self._take_touched()
        touched += [place for owner in again for place in self._rows.get(owner, ())]
        engine.hold()  # also the barrier between clearing a byte and reading its row
        try:
            copies = [(place, self._copy(place)) for place in touched]
            used = (engine.control.next_owner + 1) * wire.OWNER_BYTES
            owner_bytes = bytes(engine.owners[:used])
        finally:
            engine.resume()
        owners = self._decode_owners(owner_bytes)
        self._fold(owners)
        with _no_collections(len(copies)):
            for place, parts in copies:
                self._put(place, parts, owners)
        return Snapshot(rows=self._rows, owners=owners)

    def _take_touched(self) -> list[int]:
        """The places of the rows that changed, and forget that they did."""
        used = min(self._engine.control.next_row + 1, self._engine.rows_max)
        view = self._engine.touched
        flags = bytes(view[:used])
        if flags == _NOTHING[:used]:
            return []
        places = []
        place = flags.find(1)
        while place >= 0:
            view[place] = 0
            places.append(place)
            place = flags.find(1, place + 1)
        return places

    def _copy(self, place: int) -> list[bytes]:
        """A row, and those that continue it."""
        start = place * wire.ROW_BYTES
        part = bytes(self._engine.rows[start : start + wire.ROW_BYTES])
        parts = [part]
        while part[_EXTRA_AT : _EXTRA_AT + 4] != _NO_EXTRA and len(parts) < _EXTRA_ROWS:
            start = int.from_bytes(part[_EXTRA_AT : _EXTRA_AT + 4], "little") * wire.ROW_BYTES
            part = bytes(self._engine.rows[start : start + wire.ROW_BYTES])
            parts.append(part)
        return parts

    def _put(self, place: int, parts: list[bytes], owners: dict[int, OwnerFacts]) -> None:
        """Note down a row where it belongs now; a free one, or one that continues another, nowhere."""
        fields = wire.ROW.unpack_from(parts[0])
        owner, key = fields[7], fields[8]
        before = self._owner_of.get(place)
        if before is not None and (before != owner or not key):
            del self._owner_of[place], self._rows[before][place]
            if not self._rows[before]:
                del self._rows[before]
        if owner and key:
            self._owner_of[place] = owner
            self._rows.setdefault(owner, {})[place] = decode(fields, parts, owners)

    def _decode_owners(self, data: bytes) -> dict[int, OwnerFacts]:
        facts: dict[int, OwnerFacts] = {}
        size = wire.OWNER_BYTES
        for index in range(1, len(data) // size):
            raw = data[index * size : (index + 1) * size]
            if self._owner_raw.get(index) != raw:
                self._owner_raw[index] = raw
                self._owner_facts[index] = decode_owner(index, raw)
            if self._owner_facts[index].state != wire.STATE_FREE:
                facts[index] = self._owner_facts[index]
        return facts

    def _fold(self, owners: dict[int, OwnerFacts]) -> None:
        """Hand on the rows of what ended while nothing might be folded; threads before their processes."""
        waiting = [
            owner
            for owner in owners.values()
            if owner.state == wire.STATE_ENDED and not owner.flags & wire.OWNER_KEEP and owner.parent in owners
        ]
        for owner in sorted(waiting, key=lambda owner: -owner.kind):
            if not owners[owner.session].flags & wire.SESSION_CLOSED:
                self._engine.request(wire.FOLD, owner.index)

    def owners(self) -> list[OwnerFacts]:
        """The owners in use."""
        used = (self._engine.control.next_owner + 1) * wire.OWNER_BYTES
        return list(self._decode_owners(bytes(self._engine.owners[:used])).values())

    def places_of(self, owners: Iterable[int]) -> list[int]:
        """The places of all rows of some owners, with those that continue them."""
        self.snapshot()
        places = [place for owner in owners for place in self._rows.get(owner, ())]
        extras = [wire.ROW.unpack_from(part)[10] for place in places for part in self._copy(place)]
        return places + [extra for extra in extras if extra]


@contextlib.contextmanager
def _no_collections(objects: int) -> Iterator[None]:
    """Make many objects at once without the collector walking over all of them again and again: a third of the time."""
    if objects < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
