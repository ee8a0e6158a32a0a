"""Rows are read as bytes, and become values when they are looked at: what did not change costs nothing.

Of `tracers/ebpf/reader.py`, `tracers/ebpf/snapshot.py`, `tracers/ebpf/dirty_rows.py`, `tracers/ebpf/row_deltas.py`
and `tracers/ebpf/decoding.py`.
"""

from __future__ import annotations

import struct

import msgspec
import pytest

from straced.model import histogram
from straced.model.aggregation import merge_rows
from straced.tracers.ebpf import EbpfTracer, wire
from straced.tracers.ebpf.cells import Cell, Group
from straced.tracers.ebpf.decoding import identify, shortened
from straced.tracers.ebpf.rows import CellRows
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, calls, row

KEY = 1 << wire.KEY_NR_BITS | 39


def cell(
    calls: int = 1,
    *,
    key: int = KEY,
    wall_ns: int = 1000,
    waiting_ns: int = 0,
    longest_ns: int = 1000,
    shortest_ns: int = 1000,
    errnos: dict[int, int] | None = None,
    buckets: dict[int, int] | None = None,
    more: bytes = b"",
) -> Cell:
    """A row as the kernel has it."""
    raw = wire.CounterRow(
        calls=calls, wall_ns=wall_ns, waiting_ns=waiting_ns, max_ns=longest_ns, min_ns=shortest_ns, owner=7, key=key
    )
    for place, (code, count) in enumerate((errnos or {}).items()):
        raw.slots[place] = code << 48 | count
    for place, count in (buckets or {histogram.bucket(longest_ns): calls}).items():
        raw.histogram[place] = count
    return Cell(bytes(raw) + more, key)


def rows(*cells: Cell) -> CellRows:
    return CellRows([Group(pid, None, (one,)) for pid, one in enumerate(cells, 100)])


def test_adding_bytes_up_is_adding_values_up() -> None:
    read = rows(
        cell(3, wall_ns=3000, errnos={2: 1, 11: 2}),
        cell(5, wall_ns=5_000_000, longest_ns=4_000_000, shortest_ns=70, errnos={2: 4}, buckets={0: 2, 63: 3}),
        cell(1, key=KEY + 1),
        cell(2, longest_ns=0, shortest_ns=0, wall_ns=0, buckets={0: 0}),
        cell(4, longest_ns=1 << 41, buckets={histogram.SIZE - 1: 4}),
    )
    assert read.merged() == [msgspec.structs.replace(one, pid=None) for one in merge_rows(list(read))]
    added = read.merged()[0]
    assert (added.calls, added.errors, added.errno) == (14, 7, {"ENOENT": 5, "EAGAIN": 2})
    assert (added.min_ns, added.max_ns, added.in_flight) == (70, 1 << 41, 2)


def test_buckets_that_would_overflow_in_a_sum() -> None:
    most = (1 << 32) - 1
    read = rows(*[cell(most, buckets={10: most}, longest_ns=500)] * 3)
    (added,) = read.merged()
    assert added.calls == 3 * most
    assert added.histogram is not None
    assert added.histogram[10] == 3 * most


def test_buckets_that_did_overflow() -> None:
    read = rows(cell((1 << 33) + 5, buckets={10: 5}, errnos={wire.SLOT_CARRY + 10: 2}, longest_ns=500))
    (value,) = read
    assert value.histogram is not None
    assert value.histogram[10] == (1 << 33) + 5
    assert (value.errors, value.errno, value.in_flight) == (0, {}, 0)
    assert rows(read._groups[0].cells[0], cell(1)).merged()[0].calls == (1 << 33) + 6


def test_a_call_that_was_being_noted_down_is_not_lost() -> None:
    """Copied in the middle: it stands in the histogram, and its duration is not the longest yet."""
    (value,) = rows(cell(2, longest_ns=100, buckets={2: 1, 50: 1}))
    assert value.histogram is not None
    assert (len(value.histogram), value.in_flight) == (51, 0)


@pytest.mark.parametrize(
    "whole",
    [
        cell(3, wall_ns=3000, errnos={2: 1, 11: 2}),
        cell(5, longest_ns=4_000_000, buckets={0: 2, 60: 3}),
        cell(2, longest_ns=0, shortest_ns=0, wall_ns=0, buckets={0: 0}),
        cell(4, longest_ns=1 << 41, buckets={histogram.SIZE - 1: 4}),
        cell((1 << 33) + 5, buckets={10: 5}, errnos={wire.SLOT_CARRY + 10: 2}, longest_ns=500),
        cell(2, longest_ns=100, buckets={2: 1, 50: 1}),
    ],
    ids=["errnos", "long", "in flight", "longest", "overflowed", "being noted down"],
)
@pytest.mark.parametrize("since_ns", [0, 1 << 20])
def test_what_is_cut_off_a_row_changes_nothing(whole: Cell, since_ns: int) -> None:
    """Of a call that was longer still, and returned after the row was copied, the length may be known already."""
    ((longest_ns,),) = struct.iter_unpack("=40xQ656x", whole.raw)
    (raw,) = shortened([whole.raw], [max(longest_ns, since_ns)])
    cut = Cell(raw, KEY)
    assert list(rows(cut)) == list(rows(whole))
    assert Cell(raw, KEY).sums() == whole.sums()
    assert [*rows(cut, whole).merged()] == [*rows(whole, whole).merged()]
    more = cell(1 << 34, longest_ns=1 << 41, buckets={50: 7, 70: 7, histogram.SIZE - 1: 9})
    for before in (cut, whole):
        (took,) = Group(1, None, (more,)).durations_since(Group(1, None, (before,)))
        assert took == next(iter(Group(1, None, (more,)).durations_since(Group(1, None, (whole,)))))
        assert not list(Group(1, None, (Cell(raw, KEY),)).durations_since(Group(1, None, (before,))))


def test_errnos_of_rows_that_continue_one() -> None:
    more = wire.CounterRow(owner=7)
    more.slots[0] = 5 << 48 | 9
    full = dict.fromkeys(range(20, 30), 1)
    (value,) = rows(cell(19, errnos=full, more=bytes(more)))
    assert value.errno is not None
    assert (value.errors, len(value.errno), value.errno["EIO"]) == (19, 11, 9)


def test_rows_are_a_sequence() -> None:
    read = rows(cell(1), cell(2), cell(3))
    assert [one.pid for one in read] == [100, 101, 102]
    assert (len(read), read[1].calls, read[-1].calls, len(read[1:])) == (3, 2, 3, 2)
    assert read == rows(cell(1), cell(2), cell(3)) == tuple(read)
    assert read != rows(cell(1), cell(2), cell(4))
    assert read != ()
    assert rows() == ()
    assert "getpid" in repr(read)


def test_the_layout_is_that_of_the_object() -> None:
    assert struct.calcsize("=7Q4IQ") == wire.CounterRow.slots.offset


async def test_what_did_not_change_is_the_same(tracer: EbpfTracer, start: Start) -> None:
    busy, idle = start("n", 1000), start("blocked")
    session, other = await attach(tracer, busy.pid), await attach(tracer, idle.pid)
    idle.go()
    while row(await other.read(), "read").calls != 1:
        pass
    before = tracer.read_all()
    values = tuple(before[other].rows)
    busy.run()
    after = tracer.read_all()
    assert after[other].rows is before[other].rows
    assert all(one is two for one, two in zip(after[other].rows, values, strict=True))
    assert calls(after[session], "getppid") == [1000]
    assert calls(before[session], "getppid") == [0]
    assert (await session.read()).rows is (await session.read()).rows


async def test_a_row_said_to_have_changed_that_was_read_already_is_the_same(tracer: EbpfTracer, start: Start) -> None:
    """A call that begins between the asking and the copying is in the copy, and is told once more the next time."""
    idle = start("blocked")
    session = await attach(tracer, idle.pid)
    idle.go()
    while row(before := await session.read(), "read").calls != 1:
        pass
    engine = tracer._instances[0].engine
    used = engine.control.next_row + 1
    engine.touched[:used] = b"\x01" * used
    after = await session.read()
    assert isinstance(before.rows, CellRows)
    assert isinstance(after.rows, CellRows)
    assert after.rows.same_as(before.rows)
    (moved,) = after.rows.moved_since(before.rows, {idle.pid}).values()
    assert moved.calls == 0
    assert moved.standing == moved.in_flight > 0


async def test_what_no_call_has_reached_is_not_kept(tracer: EbpfTracer, start: Start) -> None:
    """A service has thousands of rows, two and three times: most of each is an empty histogram."""
    workload = start("n", 1000)
    session = await attach(tracer, workload.pid)
    workload.run()
    sample = await session.read()
    assert isinstance(sample.rows, CellRows)
    (found,) = (found for group in sample.rows.parts() for found in group.cells if identify(found.key)[0] == "getppid")
    assert len(found.raw) < wire.ROW_BYTES
    assert calls(sample, "getppid") == [1000]


async def test_earlier_samples_stay_what_they_were(tracer: EbpfTracer, start: Start) -> None:
    """They are looked at for the first time when the kernel has counted on."""
    workload = start("io", 20000)
    session = await attach(tracer, workload.pid)
    workload.go()
    samples = [await session.read()]
    while len(samples) < 20 or workload.process.poll() is None:
        samples.append(await session.read())
    workload.end()
    samples.append(await session.detach())
    counted = [sum(one.calls or 0 for one in sample.rows if one.name == "write") for sample in samples]
    assert counted == sorted(counted)
    assert counted == [row(sample, "write").calls for sample in samples]
    assert (counted[0], counted[-1]) != (0, 0)
    assert counted[-1] == 20000
