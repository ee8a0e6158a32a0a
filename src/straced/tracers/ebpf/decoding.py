"""From the bytes of rows and owners to values."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable

from msgspec import Struct

from straced.model import histogram
from straced.model.types import Counters
from straced.syscalls import syscall_name
from straced.text.sanitize import scrub_bytes
from straced.tracers.ebpf import wire
from straced.tracers.ebpf.errnos import errno_name

HISTOGRAM_AT = wire.CounterRow.histogram.offset
_HEAD = struct.Struct(f"=7Q{wire.CounterRow.slots.offset - 56}xQ")
"""The sums of a row, its longest and shortest call, and its first slot."""
_SLOTS = struct.Struct(f"={wire.CounterRow.slots.offset}x{wire.SLOTS}Q")
_OCTAVE_BYTES = 4 * histogram.STEPS
_USED_AND_REST = [
    (octaves * _OCTAVE_BYTES, bytes((histogram.OCTAVES - octaves) * _OCTAVE_BYTES))
    for octaves in (min(max(0, bits - histogram.FIRST_OCTAVE), histogram.OCTAVES) for bits in range(65))
]
"""By the number of bits of the longest call: bytes of its histogram that are used, and the empty ones after them."""
_USED_BUCKETS = [(wire.BUCKETS[used // 4], rest, HISTOGRAM_AT + used) for used, rest in _USED_AND_REST]
_LEFT_BUCKETS = {end: buckets for buckets, rest, end in _USED_BUCKETS if rest}
"""By the length of a row that :func:`shortened` has cut."""
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
    uid: int
    gid: int
    comm: bytes
    program: str
    """The name of the file that it runs; empty where that is not told apart, or not known."""


def decode_owner(index: int, raw: bytes) -> OwnerFacts:
    """An owner out of its bytes."""
    fields = wire.OWNER.unpack(raw)
    state, kind, flags, parent, session, _head, _rows, _live, deferred, pid, host_pid, exit_code = fields[:12]
    processes, threads, uid, _payer, start_ns, lost, _capabilities, gid, _heir, comm, program = fields[12:]
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
        uid=uid,
        gid=gid,
        comm=comm.rstrip(b"\0"),
        program=_name(program),
    )


@functools.lru_cache(1024)
def _name(program: bytes) -> str:
    return scrub_bytes(program.partition(b"\0")[0]) if program[0] else ""


@functools.lru_cache(4096)
def identify(key: int) -> tuple[str, int, str]:
    """Name, number and ABI of a key."""
    abi = wire.ABIS[key >> wire.KEY_NR_BITS]
    number = key & wire.KEY_NR_MASK
    if abi == "x32":
        number |= wire.X32_SYSCALL_BIT
    return syscall_name(number, abi), number, abi


def decode(
    raw: bytes, key: int, pid: int | None = None, tid: int | None = None, program: str | None = None
) -> Counters:
    """The counters in a row, with those that continue it behind it."""
    fields = _HEAD.unpack_from(raw)
    longest_ns, shortest_ns, first_slot = fields[5:]
    buckets = buckets_of(raw, HISTOGRAM_AT, longest_ns)
    slots = slots_of(raw) if first_slot else {}
    if slots and max(slots) >= wire.SLOT_CARRY:
        buckets = _carried(slots, buckets)
    return counters(key, (pid, tid, program), fields[:5], longest_ns, shortest_ns, slots, buckets)


def counters(
    key: int,
    whose: tuple[int | None, int | None, str | None],  # pid, tid and program
    sums: tuple[int, ...],
    longest_ns: int,
    shortest_ns: int,
    slots: dict[int, int],
    buckets: tuple[int, ...],
) -> Counters:
    """A row as a value; ``sums``: calls, untimed ones, wall and waiting time, restarts."""
    pid, tid, program = whose
    calls, untimed, wall_ns, waiting_ns, restarts = sums
    name, number, abi = identify(key)
    errno = errnos_of(slots) if slots else {}
    if waiting_ns > wall_ns:  # read in the middle of an update
        waiting_ns = wall_ns
    in_flight = calls - untimed - sum(buckets)
    return Counters(
        name=name,
        nr=number,
        abi=abi,
        pid=pid,
        tid=tid,
        program=program,
        calls=calls,
        errors=sum(errno.values()),
        restarts=restarts,
        errno=errno,
        wall_ns=wall_ns,
        working_ns=wall_ns - waiting_ns,
        waiting_ns=waiting_ns,
        min_ns=shortest_ns or None,
        max_ns=longest_ns or None,
        histogram=buckets,
        in_flight=in_flight if in_flight > 0 else 0,
    )


def end_of(raw: bytes, start: int, longest_ns: int) -> int:
    """Where the used part of a histogram ends that begins at ``start``: after the octave of the longest call.

    Looking for the last byte that is not zero would take longer than all else that is done to a row.
    """
    used, rest = _USED_AND_REST[longest_ns.bit_length()]
    if raw.startswith(rest, start + used):
        return start + used
    # the longest call was not noted down yet when this was copied, or :func:`shortened` has cut it
    return min(start + 4 * histogram.SIZE, len(raw))


def all_buckets(raw: bytes, longest_ns: int) -> tuple[int, ...]:
    """The used part of the histogram of a row, with empty buckets at its end: for those who add them up."""
    buckets = _LEFT_BUCKETS.get(len(raw))
    if buckets is None:
        buckets, rest, end = _USED_BUCKETS[longest_ns.bit_length()]
        if not raw.startswith(rest, end):  # as in :func:`end_of`, whose call would take as long as this
            buckets = wire.BUCKETS[histogram.SIZE]
    return buckets.unpack_from(raw, HISTOGRAM_AT)


def shortened(raws: Iterable[bytes], longest_ns: Iterable[int]) -> list[bytes]:
    """Rows without the octaves that no call has reached: more than half of a row, and a service keeps thousands.

    Args:
        raws: single rows as they were copied.
        longest_ns: the longest call of each, then or later: what is cut off is known to be empty.
    """
    ends = map(_USED_BUCKETS.__getitem__, map(int.bit_length, longest_ns))
    return [raw[:end] if raw.startswith(rest, end) else raw for raw, (_, rest, end) in zip(raws, ends, strict=True)]


def buckets_of(raw: bytes, start: int, longest_ns: int) -> tuple[int, ...]:
    """The histogram that begins at ``start``, without the empty buckets at its end."""
    filled = (end_of(raw, start, longest_ns) - start) // 4
    buckets = wire.BUCKETS[filled].unpack_from(raw, start)
    while filled and not buckets[filled - 1]:
        filled -= 1
    return buckets[:filled]


def slots_of(raw: bytes) -> dict[int, int]:
    """Counts by code: an errno, or a bucket that overflowed (``SLOT_CARRY`` and above)."""
    found: dict[int, int] = {}
    for start in range(0, len(raw), wire.ROW_BYTES):
        for slot in _SLOTS.unpack_from(raw, start):
            if not slot:
                break
            code = slot >> 48
            found[code] = found.get(code, 0) + (slot & _COUNT_MASK)
    return found


def errnos_of(slots: dict[int, int]) -> dict[str, int]:
    """Counts by the name of the errno."""
    return {errno_name(code): count for code, count in slots.items() if code < wire.SLOT_CARRY}


def _carried(slots: dict[int, int], buckets: tuple[int, ...]) -> tuple[int, ...]:
    """The histogram with what its 32 bits could not hold."""
    carried = [*buckets, *[0] * (histogram.SIZE - len(buckets))]
    for code, count in slots.items():
        if 0 <= code - wire.SLOT_CARRY < histogram.SIZE:
            carried[code - wire.SLOT_CARRY] += count << 32
    return tuple(carried)
