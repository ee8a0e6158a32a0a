"""From the shared memory of the programs to rows: which of them changed, and what stands in them.

The programs set a byte for each row they change. Only those rows are copied again, in runs; the others cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from straced.model.types import Counters
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.cells import Cell, Group
from straced.tracers.ebpf.decoding import OwnerFacts, decode_owner, shortened
from straced.tracers.ebpf.dirty_rows import CHANGED, DirtyRows
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.rows import CellRows

_EXTRA_ROWS = 16
_WORDS = wire.ROW_BYTES // 4
_OWNER_WORD = wire.CounterRow.owner.offset // 4
_KEY_WORD = wire.CounterRow.key.offset // 4
_EXTRA_WORD = wire.CounterRow.extra.offset // 4
_LONGEST_WORDS = wire.CounterRow.max_ns.offset // 8, wire.ROW_BYTES // 8
"""Where the longest call of the first row stands, and how far it is to the next, in words of 64 bits."""
_EMPTY = Cell(b"", 0)


Caller = tuple[int, int]
"""User and group, in the initial user namespace."""


class SnapshotPart(Struct, frozen=True):
    """What a snapshot has of one session."""

    version: int
    session: OwnerFacts
    rows: Sequence[Counters]
    lost: int
    """Calls that found no room."""
    callers: dict[int, Caller | None] = {}
    """By process, who called the execve of its program; ``None`` where one gave it rights. None of a session of one
    user, whose processes all began as theirs."""
    left: frozenset[int] = frozenset()
    """Processes that are not the user's of the session any more; what is here of them they did before."""


def by_session(owners: Iterable[OwnerFacts]) -> dict[int, list[OwnerFacts]]:
    """The members of all sessions, by one walk over the owners: themselves, their processes and threads."""
    found: dict[int, list[OwnerFacts]] = {}
    for owner in owners:
        found.setdefault(owner.session or owner.index, []).append(owner)
    return found


def _is_next(owner: OwnerFacts, waits: Collection[int]) -> bool:
    """Whether it goes on with another program while the rows of the former one wait to be handed on.

    Those stand under its pid until then, and its new ones are read the next time: each row is there once.
    """
    return bool(waits) and owner.pid in waits and owner.kind == wire.KIND_PROCESS and not owner.flags & wire.OWNER_PAST


def _callers(members: Iterable[OwnerFacts]) -> dict[int, Caller | None]:
    return {
        owner.pid: None if owner.flags & wire.OWNER_ELEVATED else (owner.uid, owner.gid)
        for owner in members
        if owner.kind == wire.KIND_PROCESS
    }


class Snapshot(Struct, frozen=True):
    """All rows by place and owner, and the owners in use, at one moment. Valid until the next one is taken."""

    version: int
    """Another one when anything is different."""
    cells: list[Cell]
    places: dict[int, dict[int, None]]
    owners: dict[int, OwnerFacts]
    groups: dict[int, Group] = {}
    """Of owners that did not change since they were last looked at: the cells of each, the same object each time."""
    requests: int = 0
    """Requests that the engine had made until then: bpf(2) by whoever reads."""

    def values_of(self, owner: OwnerFacts) -> Iterator[Counters]:
        """The rows of one owner, decoded."""
        return self._group(owner).values() if owner.index in self.places else iter(())

    def part(self, session: int, before: SnapshotPart | None, members: list[OwnerFacts] | None = None) -> SnapshotPart:
        """The part of a session. What is the same as ``before`` stays so, with all that was worked out of it."""
        if before is not None and before.version == self.version:
            return before
        if members is None:
            members = [owner for owner in self.owners.values() if session in (owner.session, owner.index)]
        waits = {owner.pid for owner in members if owner.flags & wire.OWNER_PAST}
        rows = CellRows(
            [self._group(owner) for owner in members if owner.index in self.places and not _is_next(owner, waits)]
        )
        if before is not None and isinstance(before.rows, CellRows) and before.rows.same_as(rows):
            rows = before.rows
        lost = sum(owner.lost for owner in members)
        facts = self.owners[session]
        callers = {} if facts.flags & wire.SESSION_STRICT else _callers(members)
        left = frozenset(owner.pid for owner in members if owner.flags & wire.OWNER_LEFT)
        return SnapshotPart(version=self.version, session=facts, rows=rows, lost=lost, callers=callers, left=left)

    def _group(self, owner: OwnerFacts) -> Group:
        pid, tid, program, past = None, None, owner.program or None, False
        if owner.kind == wire.KIND_PROCESS:
            pid, past = owner.pid, bool(owner.flags & wire.OWNER_PAST)
        elif owner.kind == wire.KIND_THREAD:
            process = self.owners.get(owner.parent)
            pid, tid, program = None if process is None else process.pid, owner.pid, None
        found = self.groups.get(owner.index)
        if found is None or (found.pid, found.tid, found.program, found.past) != (pid, tid, program, past):
            cells = tuple(map(self.cells.__getitem__, self.places[owner.index]))
            found = self.groups[owner.index] = Group(pid, tid, cells, program, past)
        return found


class Reader:
    """Reads an engine's rows, and remembers what it read."""

    def __init__(self, engine: Engine, touched: DirtyRows) -> None:
        self._engine = engine
        self._touched = touched
        self._number = touched.subscribe()
        self._cells: list[Cell] = []
        self._owner_at: list[int] = []
        self._places: dict[int, dict[int, None]] = {}
        self._groups: dict[int, Group] = {}
        self._owner_bytes = b""
        self._owner_facts: dict[int, OwnerFacts] = {}
        self._owners: dict[int, OwnerFacts] = {}
        self._version = 0

    def snapshot(self, *, again: Iterable[int] = ()) -> Snapshot:
        """Read everything once: each count exactly once, whatever ends meanwhile.

        ``again`` names owners whose rows are read even if nothing says that they changed.
        """
        engine = self._engine
        engine.hold()  # first, so that of a row that was handed on both ends are among those that changed
        try:
            runs = self._take_changed(again)
            engine.barrier()
            requests = engine.requests
            copies = [self._copy(first, last) for first, last in runs]
            owner_bytes = self.used_owners()
        finally:
            engine.resume()
        owners = self.take_over(owner_bytes)
        for (first, last), (raws, keys, owner_at) in zip(runs, copies, strict=True):
            if self._owner_at[first:last] != owner_at:
                self._move(first, owner_at)
            self._cells[first:last] = [  # what was copied already when it was said to have changed is still the same
                was if was.raw == raw and was.key == key else Cell(raw, key)
                for was, raw, key in zip(self._cells[first:last], raws, keys, strict=True)
            ]
            for owner in set(owner_at):
                self._groups.pop(owner, None)
        self._version += bool(runs)
        return Snapshot(
            version=self._version,
            cells=self._cells,
            places=self._places,
            owners=owners,
            groups=self._groups,
            requests=requests,
        )

    def _take_changed(self, again: Iterable[int]) -> list[tuple[int, int]]:
        """The runs of places whose rows changed; forgets that they did."""
        changed = self._touched.take(self._number)
        more = len(changed) - len(self._cells)
        if more > 0:
            self._owner_at += [0] * more
            self._cells += [_EMPTY] * more
        for owner in again:
            for place in self._places.get(owner, ()):
                changed[place] = 1
        return [found.span() for found in CHANGED.finditer(changed)]

    def _copy(self, first: int, last: int) -> tuple[list[bytes], list[int], list[int]]:
        """The bytes of a run of rows without their empty ends, their keys, and their owners.

        Nobody (0) owns a free row, nor one that continues another.
        """
        memory, words = self._engine.row_memory, self._engine.row_words
        size = wire.ROW_BYTES
        raws = [memory[start : start + size] for start in range(first * size, last * size, size)]
        keys, owner_at, extras = (
            words[first * _WORDS + word : last * _WORDS : _WORDS].tolist()
            for word in (_KEY_WORD, _OWNER_WORD, _EXTRA_WORD)
        )
        if not all(keys):
            owner_at = [owner if key else 0 for owner, key in zip(owner_at, keys, strict=True)]
        at, step = _LONGEST_WORDS
        short = shortened(raws, self._engine.row_longs[first * step + at : last * step : step].tolist())
        if any(extras):
            short = [
                self._continued(raw) if extra else cut for raw, cut, extra in zip(raws, short, extras, strict=True)
            ]
        return short, keys, owner_at

    def _continued(self, raw: bytes) -> bytes:
        """A row with those that continue it behind it."""
        parts = [raw]
        while (place := _extra_of(parts[-1])) and len(parts) < _EXTRA_ROWS:
            parts.append(self._engine.row_memory[place * wire.ROW_BYTES : (place + 1) * wire.ROW_BYTES])
        return b"".join(parts)

    def _move(self, first: int, owner_at: list[int]) -> None:
        """Note down whose the rows of a run are now."""
        for place, owner in enumerate(owner_at, first):
            before = self._owner_at[place]
            if before == owner:
                continue
            if before:
                self._groups.pop(before, None)
                del self._places[before][place]
                if not self._places[before]:
                    del self._places[before]
            if owner:
                self._places.setdefault(owner, {})[place] = None
            self._owner_at[place] = owner

    def used_owners(self) -> bytes:
        """The owners as they are now."""
        return bytes(self._engine.owners[: (self._engine.control.next_owner + 1) * wire.OWNER_BYTES])

    def take_over(self, owner_bytes: bytes) -> dict[int, OwnerFacts]:
        """The owners in use, after a reading; the rows of those that ended meanwhile are handed on."""
        owners = self._decode_owners(owner_bytes)
        self._fold(owners)
        return owners

    def _decode_owners(self, data: bytes) -> dict[int, OwnerFacts]:
        if data == self._owner_bytes:
            return self._owners
        self._version += 1
        size, before = wire.OWNER_BYTES, self._owner_bytes
        self._owners = {}
        for index in range(1, len(data) // size):
            raw = data[index * size : (index + 1) * size]
            if raw != before[index * size : (index + 1) * size]:
                self._owner_facts[index] = decode_owner(index, raw)
                self._groups.pop(index, None)
            if self._owner_facts[index].state != wire.STATE_FREE:
                self._owners[index] = self._owner_facts[index]
        self._owner_bytes = data
        return self._owners

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
        return list(self._decode_owners(self.used_owners()).values())

    def places_of(self, owners: Iterable[int]) -> list[int]:
        """The places of all rows of some owners, with those that continue them."""
        self.snapshot()
        places = [place for owner in owners for place in self._places.get(owner, ())]
        extras = [_extra_of(raw) for place in places for raw in _split(self._cells[place].raw) if _extra_of(raw)]
        return places + extras


def _extra_of(raw: bytes) -> int:
    """The place of the row that continues this one; 0 when there is none."""
    return int.from_bytes(raw[4 * _EXTRA_WORD : 4 * _EXTRA_WORD + 4], "little")


def _split(raw: bytes) -> Iterator[bytes]:
    return (raw[start : start + wire.ROW_BYTES] for start in range(0, len(raw), wire.ROW_BYTES))
