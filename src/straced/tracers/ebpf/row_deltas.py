"""What changed between two reads, from the bytes of the cells that changed: none of them becomes a value for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from straced.model.deltas import LAST_CALL, Moves, ProcessDelta
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Cell, Group
from straced.tracers.ebpf.decoding import identify, slots_of

_HEAD_BYTES = wire.CounterRow.slots.offset + 16
_HEAD_WORDS = _HEAD_BYTES // 8
_WORDS = tuple(getattr(wire.CounterRow, name).offset // 8 for name in ("calls", "wall_ns", "waiting_ns", "slots"))
_COUNT_MASK = (1 << 48) - 1
_CARRY = wire.SLOT_CARRY << 48
Head = tuple[int, int, int, int]
"""Calls, errors, wall time and waiting time."""


class _Part(NamedTuple):
    """Cells of one process that changed: where they stand in the list of all of them."""

    moved: ProcessDelta
    start: int
    end: int


class _Side:
    """All cells that changed, as they were or as they are."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.parts: list[_Part] = []

    def put(self, moved: ProcessDelta, cells: Sequence[Cell]) -> None:
        start = len(self.cells)
        self.cells += cells
        self.parts.append(_Part(moved, start, len(self.cells)))

    def add(self, sign: int) -> None:
        """Add their sums to those of their processes, or take them away."""
        heads = _heads_of(self.cells)
        if not heads:
            return
        calls, errors, wall_ns, waiting_ns = ([head[place] for head in heads] for place in range(4))
        for moved, start, end in self.parts:
            waited_ns = sum(waiting_ns[start:end])
            moved.calls = (moved.calls or 0) + sign * sum(calls[start:end])
            moved.errors = (moved.errors or 0) + sign * sum(errors[start:end])
            moved.working_ns = (moved.working_ns or 0) + sign * (sum(wall_ns[start:end]) - waited_ns)
            moved.waiting_ns = (moved.waiting_ns or 0) + sign * waited_ns


def between(before: Sequence[Group], after: Sequence[Group], flights: Collection[int | None]) -> Moves:
    """The moves of all processes; see :meth:`straced.model.counter_rows.CounterRows.moved_since`."""
    old = {(group.pid, group.tid, group.program): group.cells for group in before}
    were = {group.pid: group.program for group in before}
    found: Moves = {}
    was, now = _Side(), _Side()
    for group in after:
        whose = group.pid if group.pid is not None else group.program
        moved = found.get(whose)
        if moved is None:
            moved = found[whose] = ProcessDelta()
        last = old.pop((group.pid, group.tid, group.program), ())
        gone, fresh, same = _compare(last, group.cells)
        if group.pid is not None:
            moved.program, moved.anew = group.program, were.get(group.pid, group.program) != group.program
        elif group.program is not None:
            moved.exits += exits_in(group.cells) - exits_in(last)
        was.put(moved, gone)
        now.put(moved, fresh)
        for cell in same:
            flight = cell.flight if cell.flight is not None else _flight_of(cell)
            moved.in_flight += flight
            moved.standing += flight
        if group.pid in flights:
            moved.in_flight += sum(map(_flight_of, fresh))
    for (pid, _tid, program), cells in old.items():  # they ended, and their program or session has their rows
        was.put(found.setdefault(program or pid, ProcessDelta()), cells)
    now.add(1)
    was.add(-1)
    return found


def exits_in(cells: Sequence[Cell]) -> int:
    """How often exit_group(2) was called."""
    found = [cell for cell in cells if identify(cell.key)[0] == LAST_CALL]
    return sum(calls for calls, _, _, _ in _heads_of(found))


def _compare(before: Sequence[Cell], after: Sequence[Cell]) -> tuple[Sequence[Cell], Sequence[Cell], Sequence[Cell]]:
    """Cells that went or changed, those that came or changed, and those that are the same."""
    if len(before) > len(after):  # some were taken away, and the others moved up
        kept = {id(cell) for cell in before} & {id(cell) for cell in after}
        gone, fresh = ([cell for cell in cells if id(cell) not in kept] for cells in (before, after))
        return gone, fresh, [cell for cell in after if id(cell) in kept]
    fresh = [new for old, new in zip(before, after, strict=False) if new is not old]
    if len(fresh) == len(after):
        return before, after, ()
    if not fresh:
        return (), after[len(before) :], after[: len(before)]
    pairs = list(zip(before, after, strict=False))
    gone = [old for old, new in pairs if new is not old]
    return gone, [*fresh, *after[len(before) :]], [new for old, new in pairs if new is old]


def _heads_of(cells: Sequence[Cell]) -> list[Head]:
    """The sums of rows, worked out once each, and those of many at a time by columns."""
    missing = [cell for cell in cells if cell.head is None]
    if missing:
        words = memoryview(b"".join([cell.raw[:_HEAD_BYTES] for cell in missing])).cast("Q")
        calls, wall_ns, waiting_ns, slots = (words[word::_HEAD_WORDS].tolist() for word in _WORDS)
        further = words[_WORDS[3] + 1 :: _HEAD_WORDS].tolist()
        errors = [slot & _COUNT_MASK if slot < _CARRY else 0 for slot in slots]
        if any(further):
            errors = [_errors(cell) if more else one for cell, more, one in zip(missing, further, errors, strict=True)]
        waited_ns = map(min, waiting_ns, wall_ns)  # they may have been read in the middle of an update
        for cell, head in zip(missing, zip(calls, errors, wall_ns, waited_ns, strict=True), strict=True):
            cell.head = head
    return [cell.head for cell in cells if cell.head is not None]


def _errors(cell: Cell) -> int:
    return sum(count for code, count in slots_of(cell.raw).items() if code < wire.SLOT_CARRY)


def _flight_of(cell: Cell) -> int:
    """Its calls in flight, worked out once."""
    if cell.flight is None:
        cell.sums()
    return cell.flight or 0
