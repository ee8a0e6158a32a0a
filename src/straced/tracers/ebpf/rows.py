"""The rows of a sample as cells: added up and compared as bytes, and decoded only when somebody looks at each.

Thousands of rows are read at a time, and few of them are looked at one by one: a summary adds them up first. So a read
keeps bytes, and what is asked of them is worked out then, once.
"""

from __future__ import annotations

import contextlib
import gc
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import overload

from straced.model import histogram
from straced.model.counter_rows import CounterRows
from straced.model.deltas import Moves
from straced.model.sums import add_up
from straced.model.types import Counters
from straced.tracers.ebpf import row_deltas, wire
from straced.tracers.ebpf.cells import Group
from straced.tracers.ebpf.decoding import HISTOGRAM_AT, buckets_of, counters, decode, end_of, slots_of

_MANY = 1000
_NOBODY = (None, None, None)
_SUMS = struct.Struct("=5Q")
_REST = struct.Struct(f"={_SUMS.size}x2Q{wire.CounterRow.slots.offset - _SUMS.size - 16}xQ")
"""Longest, shortest and first slot of a row."""
_SUM_BYTES = _SUMS.size + 4 * histogram.SIZE
_MANY_CALLS = 1 << 31
"""With more than these, a bucket of 32 bits may overflow in a sum."""


class CellRows(CounterRows):
    """The rows of a sample, each a value once it is looked at."""

    __slots__ = ("_groups", "_merged", "_values")

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = tuple(groups)
        self._values: tuple[Counters, ...] | None = None
        self._merged: list[Counters] | None = None

    def __len__(self) -> int:
        return sum(len(group.cells) for group in self._groups)

    @overload
    def __getitem__(self, index: int) -> Counters: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Counters, ...]: ...
    def __getitem__(self, index: int | slice) -> Counters | tuple[Counters, ...]:
        return self._decoded()[index]

    def __iter__(self) -> Iterator[Counters]:
        return iter(self._decoded())

    def _decoded(self) -> tuple[Counters, ...]:
        if self._values is None:
            with _no_collections(len(self)):
                self._values = tuple(value for group in self._groups for value in group.values())
        return self._values

    def same_as(self, other: CellRows) -> bool:
        """Whether both are made of the same cells."""
        return self._groups == other._groups

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CellRows) and self.same_as(other):
            return True
        if not isinstance(other, CellRows | tuple) or len(self) != len(other):
            return False
        return self._decoded() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._decoded())

    def __repr__(self) -> str:
        return repr(self._decoded())

    def moved_since(self, before: Sequence[Counters], flights: Collection[int | None] = ()) -> Moves:
        """What the processes did since earlier rows; from the bytes, where those are of the same kind."""
        if not isinstance(before, CellRows) and before:
            return super().moved_since(before, flights)
        with _no_collections(len(self)):
            return row_deltas.between(before._groups if isinstance(before, CellRows) else (), self._groups, flights)

    def pids(self) -> set[int]:
        """The processes that have rows."""
        return {group.pid for group in self._groups if group.pid is not None}

    def parts(self) -> Sequence[Group]:
        """The rows by process, and of what ended by program; each the same object while nothing in it changes."""
        return self._groups

    def of(self, pid: int) -> CellRows:
        """The rows of one process."""
        return CellRows(group for group in self._groups if group.pid == pid)

    def without(self, pids: Collection[int | None]) -> CellRows:
        """All rows but those of some processes."""
        return CellRows(group for group in self._groups if group.pid not in pids)

    def merged(self) -> list[Counters]:
        """The rows added up by call and ABI over processes and threads, without decoding each of them."""
        if self._merged is None:
            by_key: dict[int, list[bytes]] = {}
            for group in self._groups:
                for cell in group.cells:
                    by_key.setdefault(cell.key, []).append(cell.raw)
            self._merged = add_up(_add(key, raws) for key, raws in by_key.items())  # several keys may share a name
        return self._merged.copy()


def _add(key: int, raws: list[bytes]) -> Counters:
    """The sum of rows of one call.

    Sums and buckets of a row are taken for one long number, and these numbers are added: all fields at once.
    """
    if len(raws) == 1:
        return decode(raws[0], key)
    longest, shortest, first_slots = zip(*map(_REST.unpack_from, raws), strict=True)
    total = sum(
        int.from_bytes(raw[: _SUMS.size] + raw[HISTOGRAM_AT : end_of(raw, HISTOGRAM_AT, longest_ns)], "little")
        for raw, longest_ns in zip(raws, longest, strict=True)
    ).to_bytes(_SUM_BYTES + 8, "little")
    sums = _SUMS.unpack_from(total)
    if sums[0] >= _MANY_CALLS:
        (merged,) = add_up([decode(raw, key) for raw in raws])
        return merged
    buckets = buckets_of(total, _SUMS.size, max(longest))
    slots: dict[int, int] = {}
    for raw, first_slot in zip(raws, first_slots, strict=True):
        if first_slot:
            for code, count in slots_of(raw).items():
                slots[code] = slots.get(code, 0) + count
    return counters(key, _NOBODY, sums, max(longest), min(filter(None, shortest), default=0), slots, buckets)


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
