"""The rows of a session as sums by process, and as rows only when somebody looks at them one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, overload

from straced.model.counter_rows import CounterRows
from straced.model.deltas import Moves, ProcessDelta
from straced.model.types import Counters
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Group
from straced.tracers.ebpf.decoding import OwnerFacts
from straced.tracers.ebpf.reader import SnapshotPart
from straced.tracers.ebpf.rows import CellRows
from straced.tracers.ebpf.snapshot import RawSnapshot, Sums


class Member(NamedTuple):
    """An owner whose rows belong to a session, and whose they are."""

    pid: int | None
    tid: int | None
    owner: int


class SummedRows(CounterRows):
    """The rows of a session in a snapshot; decoded only when somebody looks at them one by one."""

    __slots__ = ("_members", "_rows", "_snapshot")

    def __init__(self, snapshot: RawSnapshot, members: tuple[Member, ...]) -> None:
        self._snapshot = snapshot
        self._members = members
        self._rows: CellRows | None = None

    @overload
    def __getitem__(self, index: int) -> Counters: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Counters, ...]: ...
    def __getitem__(self, index: int | slice) -> Counters | tuple[Counters, ...]:
        return self._decoded()[index]

    def __len__(self) -> int:
        return len(self._decoded())

    def __iter__(self) -> Iterator[Counters]:
        return iter(self._decoded())

    def _decoded(self) -> CellRows:
        if self._rows is None:
            cells = self._snapshot.cells
            self._rows = CellRows(Group(pid, tid, cells(owner)) for pid, tid, owner in self._members)
        return self._rows

    def merged(self) -> list[Counters]:
        """The rows added up by call and ABI over processes and threads."""
        return self._decoded().merged()

    def moved_since(self, before: Sequence[Counters], flights: Collection[int | None] = ()) -> Moves:
        """What the processes did since an earlier snapshot; from the sums, where that is of the same kind.

        ``in_flight`` has the calls in flight of all rows, whatever ``flights`` says.
        """
        old = before if isinstance(before, SummedRows) else None
        if old is None and before:
            return super().moved_since(before, flights)
        found: Moves = {}
        for pid, _tid, owner in self._members:
            moved = found.get(pid)
            if moved is None:
                moved = found[pid] = ProcessDelta()
            sums = self._snapshot.sums[owner]
            _add(moved, sums, 1)
            moved.in_flight += sums[4]
            moved.standing += sums[5]
        if old is None:
            return found
        for pid, _tid, owner in old._members:
            moved = found.get(pid)
            if moved is None:  # it ended, and the session has its rows
                moved = found[pid] = ProcessDelta()
            _add(moved, old._snapshot.sums[owner], -1)
        return found

    def pids(self) -> set[int]:
        """The processes that have rows."""
        sums = self._snapshot.sums
        return {pid for pid, _tid, owner in self._members if pid is not None and sums[owner][0]}

    def of(self, pid: int) -> SummedRows:
        """The rows of one process."""
        return SummedRows(self._snapshot, tuple(member for member in self._members if member.pid == pid))

    def without(self, pids: Collection[int | None]) -> SummedRows:
        """All rows but those of some processes."""
        return SummedRows(self._snapshot, tuple(member for member in self._members if member.pid not in pids))


def part_of(snapshot: RawSnapshot, session: int, members: Sequence[OwnerFacts]) -> SnapshotPart:
    """The part of a session in a snapshot."""
    rows = SummedRows(snapshot, tuple(_member(snapshot, owner) for owner in members))
    return SnapshotPart(
        version=0, session=snapshot.owners[session], rows=rows, lost=sum(owner.lost for owner in members)
    )


def _member(snapshot: RawSnapshot, owner: OwnerFacts) -> Member:
    if owner.kind == wire.KIND_PROCESS:
        return Member(owner.pid, None, owner.index)
    if owner.kind == wire.KIND_THREAD:
        process = snapshot.owners.get(owner.parent)
        return Member(None if process is None else process.pid, owner.pid, owner.index)
    return Member(None, None, owner.index)


def _add(moved: ProcessDelta, sums: Sums, sign: int) -> None:
    calls, errors, wall_ns, waiting_ns, _in_flight, _standing = sums
    moved.calls = (moved.calls or 0) + sign * calls
    moved.errors = (moved.errors or 0) + sign * errors
    moved.working_ns = (moved.working_ns or 0) + sign * (wall_ns - waiting_ns)
    moved.waiting_ns = (moved.waiting_ns or 0) + sign * waiting_ns
