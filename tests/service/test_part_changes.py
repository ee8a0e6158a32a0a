"""A process is compared as a whole, by its bytes: each call is told once, of whom it was, whatever becomes of it.

Of `service/collect/part_changes.py` and `tracers/ebpf/cells.py`.
"""

from __future__ import annotations

import random

import pytest

from straced.model.counter_rows import PlainRows
from straced.model.durations import returned_since
from straced.model.types import Counters
from straced.service.collect.counted_calls import difference
from straced.service.collect.part_changes import PartChanges
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Cell, Group
from straced.tracers.ebpf.decoding import identify, shortened
from straced.tracers.ebpf.rows import CellRows

Told = dict[tuple[int | str | None, str], list[int]]
"""By pid or program, and call: calls, errors, wall time, and how many returned."""
BUCKETS = (3, 20, 21, 60)
MANY = 1 << 32


class Process:
    """Rows as the kernel has them, of a process or of what ended of a program, and what is to be told of them."""

    births = 0

    def __init__(self, pid: int | None, program: str | None) -> None:
        self.pid, self.program = pid, program
        self._rows: dict[int, wire.CounterRow] = {}
        self._cells: dict[int, Cell] = {}
        self._new: Told = {}

    def call(self, chance: random.Random, number: int) -> None:
        row, bucket, calls, errors = self._row(number), chance.choice(BUCKETS), 1, 0
        if chance.random() < 0.05:  # so many that 32 bits did not hold them
            calls += MANY
            _count(row, wire.SLOT_CARRY + bucket, 1)
        if chance.random() < 0.3:
            errors = 1
            _count(row, chance.choice((2, 11)), 1)
        row.calls += calls
        row.histogram[bucket] += 1
        row.wall_ns += 100 * bucket
        row.waiting_ns += chance.choice((0, 50 * bucket))
        row.max_ns = max(row.max_ns, 1 << 6 + bucket // 4)
        _add(self._new, None, identify(row.key)[0], calls, errors, 100 * bucket, calls)

    def enter(self, number: int) -> None:
        self._row(number).calls += 1
        _add(self._new, None, identify(self._row(number).key)[0], 1, 0, 0, 0)

    def leave(self, number: int) -> None:
        row = self._row(number)
        row.histogram[3] += 1
        row.wall_ns += 300
        row.max_ns = 300

    def take_over(self, ended: Process) -> None:
        """What the kernel does when a process ends, or goes on with another program."""
        for number, theirs in ended._rows.items():
            row = self._row(number)
            row.calls += theirs.calls
            row.wall_ns += theirs.wall_ns
            row.waiting_ns += theirs.waiting_ns
            row.max_ns = max(row.max_ns, theirs.max_ns)
            for bucket in BUCKETS:
                row.histogram[bucket] += theirs.histogram[bucket]
            for slot in filter(None, theirs.slots):
                _count(row, slot >> 48, slot & (1 << 48) - 1)

    def tell(self, found: Told, whose: int | str | None) -> None:
        """Add what it did since the last time."""
        for (_, name), sums in self._new.items():
            _add(found, whose, name, *sums)
        self._new = {}

    def group(self) -> Group:
        """Its rows as they are now; those that did not change are the same objects."""
        for number, row in self._rows.items():
            (raw,) = shortened([bytes(row)], [row.max_ns])
            if number not in self._cells or self._cells[number].raw != raw:
                self._cells[number] = Cell(raw, row.key)
        return Group(self.pid, None, tuple(self._cells.values()), self.program)

    def _row(self, number: int) -> wire.CounterRow:
        if number not in self._rows:
            Process.births += 1
            self._rows[number] = wire.CounterRow(birth_ns=Process.births, key=1 << wire.KEY_NR_BITS | number)
        return self._rows[number]


def _count(row: wire.CounterRow, code: int, count: int) -> None:
    place = next(place for place, slot in enumerate(row.slots) if slot >> 48 in (0, code))
    row.slots[place] = code << 48 | (row.slots[place] & (1 << 48) - 1) + count


def _add(found: Told, whose: int | str | None, name: str, *sums: int | None) -> None:
    known = found.setdefault((whose, name), [0, 0, 0, 0])
    known[:] = [before + (more or 0) for before, more in zip(known, sums, strict=True)]


def _told(changes: PartChanges, *processes: Process) -> Told:
    return _told_of(changes, *(each.group() for each in processes))


def _told_of(changes: PartChanges, *groups: Group) -> Told:
    found: Told = {}
    new = changes.take(CellRows(groups))
    for before, part in new.parts:
        for made in part.calls_since(before)[0]:
            assert sum((made.errno or {}).values()) == made.errors
            _add(found, part.pid, made.name, made.calls, made.errors, made.wall_ns, 0)
        for name, took in part.durations_since(before):
            _add(found, part.pid, name, 0, 0, 0, took.calls)
    for row, known in new.rows:
        whose = row.pid if row.pid is not None else row.program
        if (made_ := difference(row, known)) is not None:
            assert sum((made_.errno or {}).values()) == made_.errors
            _add(found, whose, row.name, made_.calls, made_.errors, made_.wall_ns, 0)
        if (took_ := returned_since(row, known)) is not None:
            _add(found, whose, row.name, 0, 0, 0, took_.calls)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_each_call_is_told_once_of_whom_it_was(seed: int) -> None:
    chance, changes = random.Random(seed), PartChanges()
    ended = {name: Process(None, name) for name in ("sh", "cc1", None)}
    alive = {pid: Process(pid, "sh") for pid in range(100, 106)}
    for _ in range(30):
        truth: Told = {}
        for pid, process in list(alive.items()):
            for _ in range(chance.choice((0, 0, 1, 5))):
                process.call(chance, chance.choice((0, 1, 39, 110)))
            if chance.random() < 0.1:
                process.enter(chance.choice((0, 7)))
            if chance.random() < 0.1:  # it ends, or begins another program, or the same one again
                ended[process.program].take_over(process)
                process.tell(truth, process.program)
                del alive[pid]
                if chance.random() < 0.7:
                    alive[pid] = Process(pid, chance.choice(("sh", "cc1", None)))
                    alive[pid].call(chance, 59)
        for pid, process in alive.items():
            process.tell(truth, pid)
        assert _told(changes, *alive.values(), *ended.values()) == truth


def test_the_same_program_begun_anew_is_not_the_one_that_was_before() -> None:
    """Though it has made more calls already, so that its rows seem to have grown."""
    chance, changes = random.Random(0), PartChanges()
    first, second, ended = Process(7, "sh"), Process(7, "sh"), Process(None, "sh")
    for process, calls in ((first, 5), (second, 9)):
        for _ in range(calls):
            process.call(chance, 39)
    truth: Told = {}
    first.tell(truth, 7)
    assert _told(changes, first) == truth
    truth.clear()
    second.tell(truth, 7)
    ended.take_over(first)
    assert _told(changes, second, ended) == truth


def test_a_row_that_was_copied_while_it_was_made_is_still_of_the_same_process() -> None:
    """The bytes of before it had a birth: all of the process seemed to have begun anew, and was told once more."""
    chance, changes, process = random.Random(0), PartChanges(), Process(7, "sh")
    process.call(chance, 39)
    process.call(chance, 110)
    made, other = process.group().cells
    half = Group(7, None, (Cell(bytes(wire.ROW_BYTES), made.key), other), "sh")
    first: Told = {}
    process.tell(first, 7)
    name, late = identify(made.key)[0], identify(other.key)[0]
    assert _told_of(changes, half) == {(7, late): first[7, late]}
    process.call(chance, 110)
    then: Told = {}
    process.tell(then, 7)
    assert _told(changes, process) == {(7, name): first[7, name], **then}


def test_what_a_process_is_in_is_told_when_it_begins_and_when_it_is_over() -> None:
    changes, process, chance = PartChanges(), Process(7, "sh"), random.Random(0)
    flights = []
    for step in (lambda: process.enter(0), lambda: process.call(chance, 39), lambda: process.leave(0)):
        step()
        ((before, part),) = changes.take(CellRows([process.group()])).parts
        flights.append(part.calls_since(before)[1])
    assert flights == [[("read", 1)], [], [("read", 0)]]


def test_rows_that_are_values_are_compared_one_by_one() -> None:
    changes = PartChanges()
    row = Counters(name="read", pid=7, program="sh", calls=5, errors=0, wall_ns=50, waiting_ns=0)
    first = changes.take(PlainRows([row]))
    assert (first.parts, [(each.row, each.known) for each in first.rows]) == ([], [(row, [])])
    again = changes.take(PlainRows([row]))
    assert (again.parts, again.rows, again.gone) == ([], [], set())
    assert changes.take(()).gone == {7}
