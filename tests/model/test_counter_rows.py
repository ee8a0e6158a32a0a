"""One container for rows: what a tracer keeps otherwise than as values answers as rows that are values do."""

from __future__ import annotations

from msgspec.structs import replace

from straced.model.counter_rows import CounterRows, PlainRows, rows_of
from straced.model.deltas import ProcessDelta
from straced.model.types import Counters
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Cell, Group
from straced.tracers.ebpf.rows import CellRows

GETPID, GETPPID = 1 << wire.KEY_NR_BITS | 39, 1 << wire.KEY_NR_BITS | 110


def cell(calls: int, key: int = GETPID) -> Cell:
    row = wire.CounterRow(calls=calls, wall_ns=10 * calls, max_ns=10, min_ns=10, owner=7, key=key)
    row.histogram[3] = calls
    return Cell(bytes(row), key)


def cells(*groups: tuple[int | None, tuple[Cell, ...]]) -> CellRows:
    return CellRows(Group(pid, None, found) for pid, found in groups)


FIRST, SAME = cell(3), cell(4, GETPPID)
BEFORE = cells((1, (FIRST, SAME)), (2, (cell(5),)))
AFTER = cells((1, (cell(10), SAME)), (None, (cell(6),)))
"""Process 1 went on; 2 ended, and its session has its calls and one more."""


def answers(rows: CounterRows, before: CounterRows) -> list[object]:
    """All that a container tells, as values."""
    moved = rows.moved_since(before, {1, 2, None})
    return [
        [replace(row, pid=None) for row in rows.merged()],  # a sum of one row may say whose it was
        {pid: each for pid, each in moved.items() if each != ProcessDelta()},
        rows.pids(),
        list(rows.of(1)),
        list(rows.without({1})),
    ]


def test_cells_and_values_answer_alike() -> None:
    plain = answers(PlainRows(AFTER), PlainRows(BEFORE))
    assert answers(AFTER, BEFORE) == plain
    assert answers(AFTER, PlainRows(BEFORE)) == plain, "an earlier sample may be in another container"
    assert answers(PlainRows(AFTER), BEFORE) == plain


def test_what_they_say() -> None:
    moved = AFTER.moved_since(BEFORE)
    assert {pid: each.calls for pid, each in moved.items()} == {1: 7, 2: -5, None: 6}
    assert (AFTER.pids(), BEFORE.pids()) == ({1}, {1, 2})
    assert sorted((row.name, row.calls) for row in AFTER.merged()) == [("getpid", 16), ("getppid", 4)]


def test_what_is_merged_belongs_to_the_caller() -> None:
    AFTER.merged().clear()
    assert len(AFTER.merged()) == 2


def test_rows_without_a_container_get_one() -> None:
    row = Counters(name="read", pid=5)
    assert rows_of(AFTER) is AFTER
    plain = rows_of((row,))
    assert (plain == [row], plain == (row,), plain == PlainRows([row])) == (True, True, True)
    assert (plain != [], len(plain), plain[0], plain[:1]) == (True, 1, row, (row,))
    assert plain.of(6) == []
