"""Patterns that cost time without getting anywhere, from counters of /proc or from a tracer's summary."""

from __future__ import annotations

from straced import syscalls
from straced.model.types import Summary
from straced.text.units import format_bytes, format_count
from straced.waits.facts.activity import Activity, Io
from straced.waits.model import Storm
from straced.waits.verdict import spins
from straced.waits.verdict.spins import MANY_PER_SECOND

_TINY_BYTES = 32
_SYNC = frozenset({"fsync", "fdatasync", "msync", "sync", "syncfs", "sync_file_range"})
_STAT = frozenset({"stat", "lstat", "newfstatat", "fstatat64", "statx", "access", "faccessat", "faccessat2"})


def find(io: Io, own: Activity | None, native: bool, counted: Summary | None) -> list[Storm]:
    """All storms; where a tracer counted, its figures stand for those that /proc can only estimate."""
    if counted is None:
        return [*from_io(io), *(from_samples(own, native) if own is not None else [])]
    exact = from_summary(counted)
    spins = any(storm.kind.startswith("spin_") for storm in exact)
    return [*exact, *(storm for storm in from_io(io) if not (spins and storm.kind.startswith("empty_")))]


def from_io(io: Io) -> list[Storm]:
    """Reads and writes that move next to nothing. /proc counts a failing or empty read as a call of no bytes."""
    found = []
    for calls, moved, verb in (("syscr", "rchar", "read"), ("syscw", "wchar", "write")):
        rate, size = io.rate(calls), io.per_call(moved, calls)
        if not io.known or rate < MANY_PER_SECOND or size >= _TINY_BYTES:
            continue
        if size < 0.01:
            text = f"{format_count(round(rate))} {verb} calls a second move no bytes: EAGAIN, or the end of a file"
            found.append(Storm(kind=f"empty_{verb}s", per_second=round(rate, 1), text=text))
        else:
            text = f"{format_count(round(rate))} {verb} calls a second move {size:.1f} bytes each"
            found.append(Storm(kind=f"tiny_{verb}s", per_second=round(rate, 1), text=text))
    return found


def from_samples(activity: Activity, native: bool) -> list[Storm]:
    """Calls that were found often enough to be the thing that takes the time."""
    if not native:
        return []
    abi = syscalls.native_abi()
    share = sum(
        activity.share(call) for call in activity.calls if call[0] >= 0 and syscalls.syscall_name(call[0], abi) in _SYNC
    )
    if share < 0.3 or not activity.switches:
        return []
    return [
        Storm(
            kind="fsync",
            per_second=None,
            text=f"in fsync {100 * share:.0f} % of the time, {activity.switches} switches",
        )
    ]


def from_summary(summary: Summary) -> list[Storm]:
    """The same and more, exactly, where a tracer counted: searches that find nothing, spins, fsync, stat."""
    window_ns = summary.window.duration_ns or 0
    seconds = max(window_ns / 1e9, 1e-6)
    found: list[Storm | None] = []
    for row in summary.rows:
        calls, errno = row.calls or 0, row.errno or {}
        if calls / seconds < MANY_PER_SECOND and row.name not in _SYNC:
            continue
        found.append(spins.in_vain(row, seconds))
        failed = errno.get("ENOENT", 0)
        if failed / seconds >= MANY_PER_SECOND and failed >= calls * 0.5:
            text = f"{format_count(round(failed / seconds))} {row.name} calls a second fail with ENOENT"
            found.append(Storm(kind="search_enoent", per_second=round(failed / seconds, 1), text=text))
        if row.name in _STAT:
            text = f"{format_count(round(calls / seconds))} {row.name} calls a second"
            found.append(Storm(kind="stat", per_second=round(calls / seconds, 1), text=text))
        if row.name in _SYNC and row.wall_ns is not None and row.wall_ns >= window_ns * 0.3 > 0:
            share = row.wall_ns / window_ns
            text = f"{row.name}: {calls / seconds:.0f} calls a second take {100 * share:.0f} % of the time"
            found.append(Storm(kind="fsync", per_second=round(calls / seconds, 1), text=text))
    found += spins.together(summary.rows, seconds)
    return [storm for storm in found if storm is not None]


def moved(io: Io) -> str:
    """What a process read and wrote, for the evidence; ``""`` when nothing or unknown."""
    if not io.known or (io.rate("rchar") < 1 and io.rate("wchar") < 1):
        return ""
    return f"reads {format_bytes(round(io.rate('rchar')))}/s, writes {format_bytes(round(io.rate('wchar')))}/s"
