"""All rows of an engine at one moment, kept as the bytes they were, and what each owner did, added up by the kernel.

For a reader who wants the sums of thousands of processes each second and the rows of one of them: copying pages of
memory costs a tenth of telling rows apart.
"""

from __future__ import annotations

from msgspec import Struct

from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Cell
from straced.tracers.ebpf.decoding import OwnerFacts
from straced.tracers.ebpf.dirty_rows import DirtyRows
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.reader import Reader

PAGE_ROWS = 64
"""Rows that are copied together: few enough that a page is soon free again, many enough that there are few pages."""
_PAGE_BYTES = PAGE_ROWS * wire.ROW_BYTES
_MOST_ROWS = 2048
"""Of one owner; a list that is longer is being changed."""
_KEY, _NEXT, _EXTRA = (getattr(wire.CounterRow, name).offset for name in ("key", "next", "extra"))
_HEAD = wire.RowOwner.head.offset
Sums = tuple[int, int, int, int, int, int]
"""Calls, errors, wall and waiting time, calls in flight, and those of them in rows in which nothing happened since."""


class RawSnapshot(Struct, frozen=True):
    """Everything at one moment. It stays as it is whatever is read later."""

    pages: list[bytes]
    owner_bytes: bytes
    owners: dict[int, OwnerFacts]
    sums: list[Sums]
    """By owner."""

    def cells(self, owner: int) -> tuple[Cell, ...]:
        """The rows of an owner: they are chained, and new ones come to the front of the chain."""
        found: list[Cell] = []
        place = _word(self.owner_bytes, owner * wire.OWNER_BYTES + _HEAD)
        while place and len(found) < _MOST_ROWS and (raw := self._row(place)):
            place = _word(raw, _NEXT)
            whole, extra = raw, _word(raw, _EXTRA)
            while extra and (more := self._row(extra)):
                whole, extra = whole + more, _word(more, _EXTRA)
            if key := _word(raw, _KEY):
                found.append(Cell(whole, key))
        return tuple(found)

    def _row(self, place: int) -> bytes:
        """The bytes of a row; none where it is newer than this snapshot."""
        page, number = divmod(place, PAGE_ROWS)
        start = number * wire.ROW_BYTES
        return self.pages[page][start : start + wire.ROW_BYTES] if page < len(self.pages) else b""


class SnapshotReader:
    """Takes snapshots of an engine; only pages in which something changed are copied again."""

    def __init__(self, engine: Engine, reader: Reader, touched: DirtyRows) -> None:
        self._engine = engine
        self._reader = reader
        self._touched = touched
        self._number = touched.subscribe()
        self._pages: list[bytes] = []

    def take(self) -> RawSnapshot:
        """Everything as it is now, each count exactly once, whatever ends meanwhile."""
        engine, pages = self._engine, self._pages
        engine.hold()  # first, so that of a row that was handed on both ends are among those that changed
        try:
            owner_bytes = self._reader.used_owners()  # before the rows: each that is in a list by now is among them
            dirty = self._take_dirty()
            engine.barrier()
            sums = engine.sums()
            for page in dirty:
                pages[page] = engine.row_memory[page * _PAGE_BYTES : (page + 1) * _PAGE_BYTES]
        finally:
            engine.resume()
        owners = self._reader.take_over(owner_bytes)
        return RawSnapshot(pages.copy(), owner_bytes, owners, list(wire.SUMS.iter_unpack(sums)))

    def _take_dirty(self) -> list[int]:
        """The pages in which a row changed, and those that are new; forgets that they did."""
        changed = self._touched.take(self._number)
        known = len(self._pages)
        self._pages += [b""] * (-(-len(changed) // PAGE_ROWS) - known)
        return [
            page
            for page in range(len(self._pages))
            if page >= known or changed.count(1, page * PAGE_ROWS, (page + 1) * PAGE_ROWS)
        ]


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")
