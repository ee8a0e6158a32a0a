"""From the shared memory of the programs to values: which rows changed, and what stands in them.

The programs set a byte for each row they change. Only those rows are read again; the others cost nothing.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Iterable, Iterator

from msgspec import Struct

from straced import histogram
from straced.model import Counters
from straced.syscalls import syscall_name
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.ebpf.errnos import errno_name

_NOTHING = bytes(wire.ROWS_LIMIT)
_SLOTS_AT = 12
_HISTOGRAM_AT = wire.Row.histogram.offset
_EXTRA_AT = wire.Row.extra.offset
_NO_EXTRA = bytes(4)
_COUNT_MASK = (1 << 48) - 1
_EXTRA_ROWS = 16
_MANY = 1000


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
    """All rows by owner and place, and the owners in use, at one moment. Valid until the next one is taken."""

    rows: dict[int, dict[int, Counters]]
    owners: dict[int, OwnerFacts]

    def members(self, session: int) -> Iterator[OwnerFacts]:
        """The session itself, its processes and their threads."""
        return (owner for owner in self.owners.values() if owner.session == session or owner.index == session)


class Reader:
    """Reads an engine's rows, and remembers what it decoded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows: dict[int, dict[int, Counters]] = {}
        self._owner_of: dict[int, int] = {}
        self._owner_raw: dict[int, bytes] = {}
        self._owner_facts: dict[int, OwnerFacts] = {}

    def snapshot(self, *, again: Iterable[int] = ()) -> Snapshot:
        """Read everything once: each count exactly once, whatever ends meanwhile.

        ``again`` names owners whose rows are read even if nothing says that they changed.
        """
        engine = self._engine
        touched = self._take_touched()
        touched += [place for owner in again for place in self._rows.get(owner, ())]
        engine.hold()  # also the barrier between clearing a byte and reading its row
        try:
            copies = [(place, self._copy(place)) for place in touched]
            used = (engine.control.next_owner + 1) * wire.OWNER_BYTES
            owner_bytes = bytes(engine.owners[:used])
        finally:
            engine.resume()
        owners = self._decode_owners(owner_bytes)
        self._fold(owners)
        with _no_collections(len(copies)):
            for place, parts in copies:
                self._put(place, parts, owners)
        return Snapshot(rows=self._rows, owners=owners)

    def _take_touched(self) -> list[int]:
        """The places of the rows that changed, and forget that they did."""
        used = min(self._engine.control.next_row + 1, self._engine.rows_max)
        view = self._engine.touched
        flags = bytes(view[:used])
        if flags == _NOTHING[:used]:
            return []
        places = []
        place = flags.find(1)
        while place >= 0:
            view[place] = 0
            places.append(place)
            place = flags.find(1, place + 1)
        return places

    def _copy(self, place: int) -> list[bytes]:
        """A row, and those that continue it."""
        start = place * wire.ROW_BYTES
        part = bytes(self._engine.rows[start : start + wire.ROW_BYTES])
        parts = [part]
        while part[_EXTRA_AT : _EXTRA_AT + 4] != _NO_EXTRA and len(parts) < _EXTRA_ROWS:
            start = int.from_bytes(part[_EXTRA_AT : _EXTRA_AT + 4], "little") * wire.ROW_BYTES
            part = bytes(self._engine.rows[start : start + wire.ROW_BYTES])
            parts.append(part)
        return parts

    def _put(self, place: int, parts: list[bytes], owners: dict[int, OwnerFacts]) -> None:
        """Note down a row where it belongs now; a free one, or one that continues another, nowhere."""
        fields = wire.ROW.unpack_from(parts[0])
        owner, key = fields[7], fields[8]
        before = self._owner_of.get(place)
        if before is not None and (before != owner or not key):
            del self._owner_of[place], self._rows[before][place]
            if not self._rows[before]:
                del self._rows[before]
        if owner and key:
            self._owner_of[place] = owner
            self._rows.setdefault(owner, {})[place] = decode(fields, parts, owners)

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

    def places_of(self, owners: Iterable[int]) -> list[int]:
        """The places of all rows of some owners, with those that continue them."""
        self.snapshot()
        places = [place for owner in owners for place in self._rows.get(owner, ())]
        extras = [wire.ROW.unpack_from(part)[10] for place in places for part in self._copy(place)]
        return places + [extra for extra in extras if extra]


def _owner(index: int, raw: bytes) -> OwnerFacts:
    fields = wire.OWNER.unpack(raw)
    state, kind, flags, parent, session, _head, _rows, _live, deferred, pid, host_pid, exit_code = fields[:12]
    processes, threads, _uid, _unused, start_ns, lost, comm = fields[12:]
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


@functools.cache
def identify(key: int) -> tuple[str, int, str]:
    """Name, number and ABI of a key."""
    abi = wire.ABIS[key >> wire.KEY_NR_BITS]
    number = key & wire.KEY_NR_MASK
    if abi == "x32":
        number |= wire.X32_SYSCALL_BIT
    return syscall_name(number, abi), number, abi


def decode(fields: tuple[int, ...], parts: list[bytes], owners: dict[int, OwnerFacts]) -> Counters:
    """The counters in a row and those that continue it."""
    calls, untimed, wall_ns, waiting_ns, restarts, max_ns, min_ns, owner_index, key = fields[:9]
    name, number, abi = identify(key)
    owner = owners.get(owner_index)
    pid = tid = None
    if owner is not None and owner.kind == wire.KIND_PROCESS:
        pid = owner.pid
    elif owner is not None and owner.kind == wire.KIND_THREAD:
        tid = owner.pid
        pid = owners[owner.parent].pid if owner.parent in owners else None
    filled = parts[0][_HISTOGRAM_AT:].rstrip(b"\0")
    buckets = wire.BUCKETS[len(filled) + 3 >> 2].unpack_from(parts[0], _HISTOGRAM_AT)
    errno: dict[str, int] = {}
    errors = 0
    if fields[_SLOTS_AT]:
        buckets = _add_slots(parts, errno, buckets)
        errors = sum(errno.values())
    if waiting_ns > wall_ns:  # read in the middle of an update
        waiting_ns = wall_ns
    in_flight = calls - untimed - sum(buckets)
    return Counters(
        name=name,
        nr=number,
        abi=abi,
        pid=pid,
        tid=tid,
        calls=calls,
        errors=errors,
        restarts=restarts,
        errno=errno,
        wall_ns=wall_ns,
        working_ns=wall_ns - waiting_ns,
        waiting_ns=waiting_ns,
        min_ns=min_ns or None,
        max_ns=max_ns or None,
        histogram=buckets,
        in_flight=in_flight if in_flight > 0 else 0,
    )


def _add_slots(parts: list[bytes], errno: dict[str, int], buckets: tuple[int, ...]) -> tuple[int, ...]:
    """Sort the slots into errors by name and carries of the histogram."""
    carried: list[int] | None = None
    for part in parts:
        for slot in wire.ROW.unpack_from(part)[_SLOTS_AT:]:
            if not slot:
                break
            code, count = slot >> 48, slot & _COUNT_MASK
            if code < wire.SLOT_CARRY:
                name = errno_name(code)
                errno[name] = errno.get(name, 0) + count
            elif code - wire.SLOT_CARRY < histogram.SIZE:
                carried = carried or [*buckets, *[0] * (histogram.SIZE - len(buckets))]
                carried[code - wire.SLOT_CARRY] += count << 32
    return tuple(carried) if carried else buckets
