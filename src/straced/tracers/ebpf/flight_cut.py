"""A dump's view of the rings at one moment: what is kept, what is gone, and what is in flight."""

from __future__ import annotations

import struct
import time
from collections import Counter

from msgspec import Struct

from straced.records import layout
from straced.records.values import RecordKind
from straced.tracers.ebpf import record_wire
from straced.tracers.ebpf.flight_engine import FlightEngine

_HEAD = struct.Struct("=" + layout.RECORD_HEAD)
_KIND_MASK = 63
_UNWANTED = 0
"""RECORD_PAD, as ``bpf/record_flight.h`` tells of them."""
_PASSES = 3


class Cut(Struct, kw_only=True):
    """What the rings hold; nothing of it is overwritten until the dump lets go of it."""

    taken_ns: int
    pieces: list[tuple[int, int]]
    """From where to where, by CPU."""
    since_ns: int | None
    """From then on every record is there; ``None`` where none was overwritten."""
    fates: list[int]
    """Filtered and lost, in turns, by place."""
    overwritten: list[int]
    starts: bytes
    """START and BEFORE records of calls that are in none of the pieces."""
    begun: Counter[int]
    """How many, by place."""
    unwanted: Counter[int]
    """Calls in flight that the filters leave out, by place."""


def take(engine: FlightEngine, *, closed: bool = False) -> Cut:
    """Hold the rings as they are; :func:`let_go` ends that, also when this fails.

    What was begun before is told once: in a START record if it is inside when it is looked for, and does not end
    until the rings are held; else in a record of its own.

    Args:
        engine: it goes on recording, into what is still free.
        closed: the recording is over, so that no call moves, and each in flight is seen once.

    Raises:
        OSError: a program is preempted in the middle of a record, and does not come back.
    """
    heads = [int(engine.ring(cpu).head) for cpu in range(engine.cpus)]
    inside = _records(engine.starts()) if closed else _seen_twice(engine)
    begins = [engine.keep_all(cpu) for cpu in range(engine.cpus)]
    pieces = [(start, engine.whole_until(cpu, start)) for cpu, start in enumerate(begins)]
    cut = Cut(
        taken_ns=time.monotonic_ns(),
        pieces=pieces,
        since_ns=max((_first_ns(engine, cpu, *piece) for cpu, piece in enumerate(pieces) if piece[0]), default=None),
        fates=engine.all_fates(),
        overwritten=engine.overwritten(),
        starts=b"",
        begun=Counter(),
        unwanted=Counter(),
    )
    later = [(max(head, start), end) for head, (start, end) in zip(heads, pieces, strict=True)]
    ended = _ended(b"".join(engine.bytes_of(cpu, *each) for cpu, each in enumerate(later)))
    kept = []
    for record in inside:
        _size, told, _nargs, tid, _pid, key, seen_ns, *_rest = _HEAD.unpack_from(record)
        kind = told & _KIND_MASK
        if kind == _UNWANTED:
            cut.unwanted[record_wire.place_of(key)] += 1
        elif ended.get((tid, key), 0) < seen_ns:
            cut.begun[record_wire.place_of(key)] += kind == RecordKind.START  # of BEFORE no call is counted
            kept.append(record)
    cut.starts = b"".join(kept)
    return cut


def _ended(data: bytes) -> dict[tuple[int, int], int]:
    """When a call of a task has ended last, by task and call."""
    heads = map(_HEAD.unpack_from, _records(data))
    return {(head[3], head[5]): head[6] for head in heads}


def let_go(engine: FlightEngine) -> None:
    """Let everything be overwritten again."""
    for cpu in range(engine.cpus):
        engine.keep_nothing(cpu)


def _records(data: bytes) -> list[bytes]:
    found, at = [], 0
    while len(data) - at >= 8:
        size = int.from_bytes(data[at : at + 2], "little" if struct.pack("=H", 1) == b"\1\0" else "big")
        if size < 8:
            break
        if size >= _HEAD.size:
            found.append(data[at : at + size])
        at += size
    return found


def _seen_twice(engine: FlightEngine) -> list[bytes]:
    """What two looks have seen alike: its start, or of a call that is to be made again the time it has taken so far."""
    found: dict[tuple[int, int], bytes] = {}
    seen: set[tuple[int, int, int]] = set()
    for turn in range(_PASSES):
        if turn:
            engine.settle()
        now: dict[tuple[int, int, int], bytes] = {}
        for record in _records(engine.inside()):
            _size, _kind, _nargs, tid, _pid, key, end_ns, duration_ns, _waiting, _result = _HEAD.unpack_from(record)
            now |= {(tid, key, end_ns - duration_ns): record, (tid, key, -duration_ns): record}
        found |= {each[:2]: record for each, record in now.items() if each in seen}
        seen |= now.keys()
    return list(found.values())


def _first_ns(engine: FlightEngine, cpu: int, start: int, end: int) -> int:
    """When the oldest record of a ring was written."""
    if start == end:
        return 0
    return int(_HEAD.unpack_from(engine.bytes_of(cpu, start, start + _HEAD.size))[6])
