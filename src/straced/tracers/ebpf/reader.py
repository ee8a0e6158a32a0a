"""From the shared memory of the programs to values: which rows changed, and what stands in them.

A row that did not change since the last snapshot costs a comparison; only changed ones are copied and decoded.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from msgspec import Struct

from straced import histogram
from straced.model import Counters
from straced.syscalls import syscall_name
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.errnos import errno_name

_WORDS = wire.ROW_BYTES // 8
_HISTOGRAM_AT = 12 + wire.SLOTS
_COUNT_MASK = (1 << 48) - 1
_EXTRA_ROWS = 16


class OwnerFacts(Struct, frozen=True):
    """An owner as it stood at a snapshot."""

    index: int
    state: int
    kind: int
    flags: int
    parent: int
    session: int
    deferred: int
    pid: int
    host_pid: int
    exit_code: int
    processes: int
    threads: int
    start_ns: int
    lost: int
    comm: bytes


class Snapshot(Struct, frozen=True):
    """All rows by owner, and the owners in use, at one moment."""

    rows: dict[int, list[Counters]]
    owners: dict[int, OwnerFacts]

    def members(self, session: int) -> Iterator[OwnerFacts]:
        """The session itself, its processes and their threads."""
        return (owner for owner in self.owners.values() if owner.session == session or owner.index == session)


class Reader:
    """Reads an engine's rows, and remembers what it decoded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._marks: list[tuple[int, ...]] = []
        self._decoded: dict[int, Counters] = {}
        self._owner_raw: dict[int, bytes] = {}
        self._owner_facts: dict[int, OwnerFacts] = {}

    def snapshot(self) -> Snapshot:
        """Read everything once: each count exactly once, whatever ends meanwhile."""
        engine = self._engine
        engine.hold()
        try:
            marks = self._read_marks()
            changed = [i for i, (new, old) in enumerate(zip(marks, self._marks, strict=False)) if new != old]
            changed += range(len(self._marks), len(marks))
            copies = [(i, self._copy(i)) for i in changed if marks[i][4] >> 32]
            used = (engine.control.next_owner + 1) * wire.OWNER_BYTES
            owner_bytes = bytes(engine.owners[:used])
        finally:
            engine.resume()
        self._marks = marks
        owners = self._decode_owners(owner_bytes)
        self._fold(owners)
        for index, copy in copies:
            self._decoded[index] = decode(copy, owners)
        rows: dict[int, list[Counters]] = {}
        for index, mark in enumerate(marks):
            if mark[4] >> 32:
                rows.setdefault(mark[4] & 0xFFFFFFFF, []).append(self._decoded[index])
        return Snapshot(rows=rows, owners=owners)

    def _read_marks(self) -> list[tuple[int, ...]]:
        """Of each row what tells whether it changed: calls, untimed, wall time, restarts, owner with
        key, birth."""
        used = min(self._engine.control.next_row + 1, self._engine.rows_max)
        words = self._engine.rows.cast("Q")
        end = used * _WORDS
        columns = [words[column:end:_WORDS].tolist() for column in (0, 1, 2, 4, 7, 9)]
        words.release()
        return list(zip(*columns, strict=True))

    def _copy(self, index: int) -> list[bytes]:
        """A row, and those that continue it."""
        parts: list[bytes] = []
        while index and len(parts) < _EXTRA_ROWS:
            start = index * wire.ROW_BYTES
            parts.append(bytes(self._engine.rows[start : start + wire.ROW_BYTES]))
            index = int.from_bytes(parts[-1][68:72], "little")
        return parts

    def _decode_owners(self, data: bytes) -> dict[int, OwnerFacts]:
        facts: dict[int, OwnerFacts] = {}
        size = wire.OWNER_BYTES
        for index in range(1, len(data) // size):
            raw = data[index * size : (index + 1) * size]
            if self._owner_raw.get(index) != raw:
                self._owner_raw[index] = raw
                self._owner_facts[index] = _owner(index, raw)
            if self._owner_facts[index].state != wire.STATE_FREE:
                facts[index] = self._owner_facts[index]
        return facts

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
        used = (self._engine.control.next_owner + 1) * wire.OWNER_BYTES
        return list(self._decode_owners(bytes(self._engine.owners[:used])).values())

    def rows_of(self, owners: Iterable[int]) -> list[int]:
        """Indices of all rows of some owners, with those that continue them."""
        wanted = frozenset(owners)
        found = []
        for index, mark in enumerate(self._read_marks()):
            if mark[4] & 0xFFFFFFFF in wanted and mark[4] >> 32:
                found.append(index)
                for part in self._copy(index):
                    extra = int.from_bytes(part[68:72], "little")
                    if extra:
                        found.append(extra)
        return found


def _owner(index: int, raw: bytes) -> OwnerFacts:
    fields = wire.OWNER.unpack(raw)
    state, kind, flags, parent, session, _head, _rows, _live, deferred, pid, host_pid, exit_code = fields[:12]
    processes, threads, start_ns, lost, comm = fields[12:]
    return OwnerFacts(
        index=index,
        state=state,
        kind=kind,
        flags=flags,
        parent=parent,
        session=session,
        deferred=deferred,
        pid=pid,
        host_pid=host_pid,
        exit_code=exit_code,
        processes=processes,
        threads=threads,
        start_ns=start_ns,
        lost=lost,
        comm=comm.rstrip(b"\0"),
    )


@functools.cache
def identify(key: int) -> tuple[str, int, str]:
    """Name, number and ABI of a key."""
    abi = wire.ABIS[key >> wire.KEY_NR_BITS]
    number = key & wire.KEY_NR_MASK
    if abi == "x32":
        number |= wire.X32_SYSCALL_BIT
    return syscall_name(number, abi), number, abi


def decode(parts: list[bytes], owners: dict[int, OwnerFacts]) -> Counters:
    """The counters in a row and those that continue it."""
    fields = wire.ROW.unpack(parts[0])
    calls, untimed, wall_ns, waiting_ns, restarts, max_ns, min_ns, owner_index, key = fields[:9]
    name, number, abi = identify(key)
    owner = owners.get(owner_index)
    pid = tid = None
    if owner is not None and owner.kind == wire.KIND_PROCESS:
        pid = owner.pid
    elif owner is not None and owner.kind == wire.KIND_THREAD:
        tid = owner.pid
        pid = owners[owner.parent].pid if owner.parent in owners else None
    buckets = fields[_HISTOGRAM_AT:]
    errno: dict[str, int] = {}
    if fields[12]:
        buckets = _add_slots(parts, fields, errno, buckets)
    waiting_ns = min(waiting_ns, wall_ns)
    return Counters(
        name=name,
        nr=number,
        abi=abi,
        pid=pid,
        tid=tid,
        calls=calls,
        errors=sum(errno.values()) if errno else 0,
        restarts=restarts,
        errno=errno,
        wall_ns=wall_ns,
        working_ns=wall_ns - waiting_ns,
        waiting_ns=waiting_ns,
        min_ns=min_ns or None,
        max_ns=max_ns or None,
        histogram=buckets,
        in_flight=max(calls - untimed - sum(buckets), 0),
    )


def _add_slots(
    parts: list[bytes], fields: tuple[int, ...], errno: dict[str, int], buckets: tuple[int, ...]
) -> tuple[int, ...]:
    """Sort the slots into errors by name and carries of the histogram."""
    carried: list[int] | None = None
    for part in parts:
        for slot in (fields if part is parts[0] else wire.ROW.unpack(part))[12:_HISTOGRAM_AT]:
            code, count = slot >> 48, slot & _COUNT_MASK
            if not code:
                break
            if code < wire.SLOT_CARRY:
                name = errno_name(code)
                errno[name] = errno.get(name, 0) + count
            elif code - wire.SLOT_CARRY < histogram.SIZE:
                carried = carried or list(buckets)
                carried[code - wire.SLOT_CARRY] += count << 32
    return tuple(carried) if carried else buckets
