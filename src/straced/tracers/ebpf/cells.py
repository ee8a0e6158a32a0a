"""The rows of a read as bytes, whose they are, and what is new in them since an earlier read.

A service compares thousands of rows each second, so that is done on the bytes: of a row that changed are kept its sums,
and no value is made of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import zip_longest

import msgspec
from msgspec import Struct

from straced.model.counter_rows import RowPart
from straced.model.durations import CallDurations, made_of, returned_since
from straced.model.tick import Calls
from straced.model.types import Counters
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.decoding import all_buckets, decode, errnos_of, identify, slots_of

_HEAD = struct.Struct(f"=4Q8xQ8x{wire.CounterRow.slots.offset - 56}xQ")
"""Calls, untimed ones, wall and waiting time, the longest call, the first slot."""
_BIRTH = slice(wire.CounterRow.birth_ns.offset, wire.CounterRow.birth_ns.offset + 8)
"""Tells a row from another one that had its place, or its process's number."""
_UNBORN = bytes(8)
"""Of a row that was copied while the kernel made it: there was no call in it yet."""
_NO_SUMS = (0, 0, 0, 0)


class Cell(Struct, eq=False, gc=False):
    """One row as it was read, with those that continue it behind it, or without the empty end of its histogram."""

    raw: bytes
    key: int
    value: Counters | None = None
    head: tuple[int, int, int, int] | None = None
    """Calls, errors, wall and waiting time, once somebody has worked them out."""
    flight: int | None = None
    """Calls in flight, likewise."""

    def sums(self) -> tuple[int, int, int, int]:
        """Calls, errors, wall and waiting time, worked out once, and with them :attr:`flight`."""
        if self.head is not None and self.flight is not None:
            return self.head
        raw = self.raw
        calls, untimed, wall_ns, waiting_ns, longest_ns, first_slot = _HEAD.unpack_from(raw)
        if waiting_ns > wall_ns:  # read in the middle of an update
            waiting_ns = wall_ns
        slots = slots_of(raw) if first_slot else {}
        if slots and max(slots) >= wire.SLOT_CARRY:
            value = self.value or decode(raw, self.key)
            errors, flight = value.errors or 0, value.in_flight or 0
        else:
            errors = sum(slots.values())
            flight = calls - untimed - sum(all_buckets(raw, longest_ns))
        self.flight = flight if flight > 0 else 0
        self.head = head = calls, errors, wall_ns, waiting_ns
        return head


class Group(Struct, frozen=True):
    """The cells of one owner, and whose they are."""

    pid: int | None
    tid: int | None
    cells: tuple[Cell, ...]
    program: str | None = None
    """What they ran, where the session tells that apart."""
    past: bool = False
    """Whether their process runs another program by now."""

    def values(self) -> Iterator[Counters]:
        """The cells decoded; each is decoded once."""
        pid, tid, program = self.pid, self.tid, self.program
        for cell in self.cells:
            value = cell.value
            if value is None:
                value = cell.value = decode(cell.raw, cell.key, pid, tid, program)
            elif value.tid != tid or value.program != program:
                # execve from a thread: it took the number of its process over after this was decoded. Or one for which
                # there was no room: it is not known any more what these are of
                value = cell.value = msgspec.structs.replace(value, tid=tid, program=program)
            yield value

    def follows(self, before: RowPart | None) -> bool | None:
        """Whether these are the rows of before, and perhaps new ones."""
        if before is None:
            return True
        if not isinstance(before, Group):
            return None
        seen = False
        for was, now in zip(before.cells, self.cells, strict=False):
            if was is now:
                continue
            born = was.raw[_BIRTH]
            if not seen and born != _UNBORN:  # one is enough: all have the same owner
                if born != now.raw[_BIRTH]:
                    return False
                seen = True
            if was.key != now.key:
                return None
        return True if len(before.cells) <= len(self.cells) else None

    def calls_since(self, before: RowPart | None) -> tuple[list[Calls], list[tuple[str, int]]]:
        """What it did since, call by call; and in which calls it is that it was not in, or is no more (0)."""
        made: list[Calls] = []
        flights: list[tuple[str, int]] = []
        program = self.program or ""
        for was, now in self._changed(before):
            calls, errors, wall_ns, waiting_ns = now.sums()
            flight = now.flight or 0
            old = was.sums() if was is not None else _NO_SUMS
            name, _number, abi = identify(now.key)
            if flight or (was is not None and was.flight):
                flights.append((name, flight))
            calls = calls - old[0] if calls > old[0] else 0
            errors = errors - old[1] if errors > old[1] else 0
            wall_ns = wall_ns - old[2] if wall_ns > old[2] else 0
            waiting_ns = waiting_ns - old[3] if waiting_ns > old[3] else 0
            if calls or errors or wall_ns:
                errno = _errnos_since(was, now) if errors else None
                made.append(Calls(name, abi, calls, errors, wall_ns, waiting_ns, errno, flight, program))
        return made, flights

    def durations_since(self, before: RowPart | None) -> Iterator[tuple[str, CallDurations]]:
        """How long the calls took that returned since, by name."""
        for was, now in self._changed(before):
            made = _durations_since(was, now)
            if made is not None:
                yield identify(now.key)[0], made

    def _changed(self, before: RowPart | None) -> Iterator[tuple[Cell | None, Cell]]:
        """The cells that changed, each with what it was; those that are new with nothing."""
        old = before.cells if isinstance(before, Group) else ()
        for was, now in zip(old, self.cells, strict=False):
            if was is not now:
                yield was, now
        for now in self.cells[len(old) :]:
            yield None, now


def _errnos_since(was: Cell | None, now: Cell) -> dict[str, int]:
    counts = errnos_of(slots_of(now.raw))
    for word, count in errnos_of(slots_of(was.raw)).items() if was is not None else ():
        counts[word] = counts.get(word, 0) - count
    return {word: count for word, count in counts.items() if count > 0}


def _durations_since(was: Cell | None, now: Cell) -> CallDurations | None:
    _calls, _untimed, wall_ns, _waiting_ns, longest_ns, first_slot = _HEAD.unpack_from(now.raw)
    if first_slot and max(slots_of(now.raw)) >= wire.SLOT_CARRY:
        told = [was.value or decode(was.raw, was.key)] if was is not None else []
        return returned_since(now.value or decode(now.raw, now.key), told)
    counts = all_buckets(now.raw, longest_ns)
    if was is None:
        return made_of({bucket: count for bucket, count in enumerate(counts) if count}, longest_ns, wall_ns)
    _calls, _untimed, told_ns, _waiting_ns, known_ns, _slot = _HEAD.unpack_from(was.raw)
    before = zip_longest(counts, all_buckets(was.raw, known_ns), fillvalue=0)
    buckets = {bucket: count - old for bucket, (count, old) in enumerate(before) if count > old}
    return made_of(buckets, longest_ns if longest_ns > known_ns else 0, wall_ns - told_ns)
