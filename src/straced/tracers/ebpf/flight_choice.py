"""A dump of some of the processes of a recorder: which of their records, and for whom that may be asked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from msgspec import Struct

from straced.records import layout
from straced.records.values import RecordKind
from straced.syscalls import ABIS, number_of
from straced.tracers.ebpf.flight_cut import Cut
from straced.tracers.ebpf.flight_engine import FlightEngine
from straced.tracers.ebpf.record_wire import PART

_HEAD = struct.Struct("=" + layout.RECORD_HEAD)
_MAKERS = ("clone", "clone3", "fork", "vfork")
PIECE = 16 * PART


class DumpWindow(Struct):
    """What the records of a cut tell of the processes in it."""

    execs: dict[int, int]
    """When each has begun its program, if that was in the window."""
    ends: dict[int, int]
    """When the first thread of each has ended: who has the number later is another."""
    children: dict[int, list[int]]
    """Whom each has made, threads among them."""
    callers: dict[int, tuple[int, int] | None] = {}
    """Of each that lives, who called the execve of its program; ``None`` where one ever gave it rights."""
    lost_ns: int = 0
    """What was before may have been followed by an execve that nobody has a record of."""


Choice = dict[int, int]
"""Processes, and from when on their records are wanted (CLOCK_MONOTONIC)."""
Choose = Callable[[DumpWindow], Choice]


def pieces_of(engine: FlightEngine, cpu: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """A ring in pieces of whole records, and where each ends."""
    while start < end:
        engine.check_wanted()
        stop = min(end, start // PART * PART + PIECE)
        yield stop, engine.bytes_of(cpu, start, stop)
        start = stop


def window_of(engine: FlightEngine, pieces: list[tuple[int, int]]) -> DumpWindow:
    """Look through all records."""
    found = DumpWindow({}, {}, {})
    makers = _maker_keys()
    for cpu, (start, end) in enumerate(pieces):
        for _stop, data in pieces_of(engine, cpu, start, end):
            _look_through(data, found, makers)
    return found


def _look_through(data: bytes, found: DumpWindow, makers: frozenset[int]) -> None:
    shorts, words, times = memoryview(data).cast("H"), memoryview(data).cast("I"), memoryview(data).cast("Q")
    at, end = 0, len(data)
    call, began, ended, lost = RecordKind.CALL, RecordKind.EXEC, RecordKind.EXIT, RecordKind.LOST
    while at < end:
        size, kind = shorts[at >> 1], data[at + 2] & 63
        if size < 8:
            return
        if kind == call:
            if words[(at >> 2) + 3] in makers and 0 < (child := times[(at >> 3) + 5]) < 1 << 31:
                found.children.setdefault(words[(at >> 2) + 2], []).append(child)
        elif kind in (began, ended, lost):
            tid, pid, when = words[(at >> 2) + 1], words[(at >> 2) + 2], times[(at >> 3) + 2]
            if kind == began:
                found.execs[pid] = max(when, found.execs.get(pid, 0))
            elif kind == lost:
                found.lost_ns = max(when, found.lost_ns)
            elif tid == pid:
                found.ends[pid] = max(when, found.ends.get(pid, 0))
        at += size


def _maker_keys() -> frozenset[int]:
    keys = ((index, number_of(name, abi)) for index, abi in enumerate(ABIS, 1) for name in _MAKERS)
    return frozenset(index << layout.KEY_NR_BITS | nr & ~(1 << 30) for index, nr in keys if nr is not None)


def chosen(data: bytes, choice: Choice, before_ns: int) -> tuple[list[memoryview], int]:
    """The records of a piece that are wanted, as ranges, and how many calls those are."""
    whole = memoryview(data)
    shorts, words, times = whole.cast("H"), whole.cast("I"), whole.cast("Q")
    at, end, begin, calls = 0, len(data), -1, 0
    ranges: list[memoryview] = []
    while at < end:
        size = shorts[at >> 1]
        if size < 8:
            break
        kind = data[at + 2] & 63
        wanted = False
        if kind and size >= _HEAD.size:
            since_ns = choice.get(words[(at >> 2) + 2])
            wanted = since_ns is not None and times[(at >> 3) + 2] >= max(since_ns, before_ns)
            calls += wanted and kind in (RecordKind.CALL, RecordKind.UNFINISHED)
        if wanted and begin < 0:
            begin = at
        elif not wanted and begin >= 0:
            ranges.append(whole[begin:at])
            begin = -1
        at += size
    if begin >= 0:
        ranges.append(whole[begin:at])
    return ranges, calls


def of_tree(pid: int, window: DumpWindow, living: list[int]) -> Choice:
    """A process with all below it, those that live and those that ended in the window; for who may see all."""
    found: Choice = {}
    waiting = [pid, *living]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = 0
            waiting += window.children.get(each, ())
    return found


def still_chosen(engine: FlightEngine, cut: Cut, choice: Choice) -> Choice:
    """Without those that have begun another program since the cut: whose they were then is not known."""
    begins = [end for _start, end in cut.pieces]
    ends = [engine.whole_until(cpu, begin) for cpu, begin in enumerate(begins)]
    since = window_of(engine, list(zip(begins, ends, strict=True)))
    if since.lost_ns:
        return {}
    return {pid: when for pid, when in choice.items() if pid not in since.execs and pid not in since.ends}
