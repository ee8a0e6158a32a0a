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
from straced.tracers.ebpf.row_deltas import exits_in
from straced.tracers.ebpf.rows import CellRows
from straced.tracers.ebpf.snapshot import RawSnapshot, Sums


class Member(NamedTuple):
    """An owner whose rows belong to a session, and whose they are."""

    pid: int | None
    tid: int | None
    owner: int
    program: str | None = None
    past: bool = False
    """It has gone on to another program, and to another owner."""
    whose: int | str | None = None
    """To whom what it did is added: the process, or what all that ended of its program did."""


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
            self._rows = CellRows(Group(each.pid, each.tid, cells(each.owner), each.program) for each in self._members)
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
        there: dict[int, Member] = {}
        snapshot_sums = self._snapshot.sums
        for member in self._members:
            there[member.owner] = member
            moved = _place(found, member.whose)
            sums = snapshot_sums[member.owner]
            _add(moved, sums, 1)
            moved.in_flight += sums[4]
            moved.standing += sums[5]
        if old is not None:
            for was in old._members:
                now = there.get(was.owner)
                if now is None or now.pid != was.pid or now.program != was.program:
                    whose = was.program or was.pid  # it is no more, and its program or its session has the rows
                else:
                    whose = now.whose
                _add(_place(found, whose), old._snapshot.sums[was.owner], -1)
        self._tell_programs(found, old)
        return found

    def _tell_programs(self, found: Moves, old: SummedRows | None) -> None:
        """What processes run, which of them began anew, and how many ended of each program."""
        were = {each.whose: each.owner for each in old._members if not each.past} if old is not None else {}
        for member in self._members:
            if member.program is None or member.past:
                continue
            moved, before = found[member.whose], were.get(member.whose)
            if member.pid is not None:
                moved.program, moved.anew = member.program, before not in (None, member.owner)
                continue
            known = old._snapshot if old is not None and before is not None else None
            if known is None or before is None:
                moved.exits += exits_in(self._snapshot.cells(member.owner))
            elif known.sums[before] != self._snapshot.sums[member.owner]:
                moved.exits += exits_in(self._snapshot.cells(member.owner)) - exits_in(known.cells(before))

    def pids(self) -> set[int]:
        """The processes that have rows."""
        sums = self._snapshot.sums
        return {each.pid for each in self._members if each.pid is not None and sums[each.owner][0]}

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
    program = owner.program or None
    if owner.kind == wire.KIND_PROCESS:
        past = bool(owner.flags & wire.OWNER_PAST)
        return Member(owner.pid, None, owner.index, program, past, program if past else owner.pid)
    if owner.kind == wire.KIND_THREAD:
        process = snapshot.owners.get(owner.parent)
        pid = None if process is None else process.pid
        return Member(pid, owner.pid, owner.index, whose=pid)
    return Member(None, None, owner.index, program, whose=program)


def _place(found: Moves, whose: int | str | None) -> ProcessDelta:
    moved = found.get(whose)
    if moved is None:
        moved = found[whose] = ProcessDelta()
    return moved


def _add(moved: ProcessDelta, sums: Sums, sign: int) -> None:
    calls, errors, wall_ns, waiting_ns, _in_flight, _standing = sums
    moved.calls = (moved.calls or 0) + sign * calls
    moved.errors = (moved.errors or 0) + sign * errors
    moved.working_ns = (moved.working_ns or 0) + sign * (wall_ns - waiting_ns)
    moved.waiting_ns = (moved.waiting_ns or 0) + sign * waiting_ns
