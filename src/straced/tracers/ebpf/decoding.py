"""From the bytes of rows and owners to values."""

from __future__ import annotations

import functools

from msgspec import Struct

from straced import histogram
from straced.model import Counters
from straced.syscalls import syscall_name
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.errnos import errno_name

_SLOTS_AT = 12
_HISTOGRAM_AT = wire.Row.histogram.offset
_COUNT_MASK = (1 << 48) - 1


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


def decode_owner(index: int, raw: bytes) -> OwnerFacts:
    """An owner out of its bytes."""
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


@functools.lru_cache(4096)
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
