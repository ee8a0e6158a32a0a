"""Memory limits of control groups, and pages that come back from swap."""

from __future__ import annotations

from collections.abc import Iterator

from straced.text.units import count_of, format_bytes, format_ns
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import CgroupFolder, groups_of
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit

UNLIMITED = 1 << 62
"""Version 1 has no word for it: a number that is the largest that fits."""
_STALLED = 0.1
"""The part of the window from which waits for memory are worth a word."""
_FAULTS_PER_S = 100
_NEAR = 0.98
"""A group at its limit is always a few pages below it."""


def limits(window: HostWindow, proc: ProcReader, pid: int) -> Iterator[Limit]:
    """The memory limits that the groups of a process have reached."""
    for group in groups_of(proc, pid, "memory"):
        yield from _v2(window, proc, pid, group) if group.v2 else _v1(window, proc, pid, group)


def _v2(window: HostWindow, proc: ProcReader, pid: int, group: CgroupFolder) -> Iterator[Limit]:
    now = group.number("memory.current")
    pressure = window.added(group, "memory.pressure", "some total")
    stalled = (pressure or 0) * 1000
    faults = window.major_faults(proc, pid)
    for file, event in (("memory.max", "max"), ("memory.high", "high")):
        most, hits = group.number(file), window.added(group, "memory.events", event)
        if most is None or now is None or not (now >= most * _NEAR or hits):
            continue
        words = [f"its cgroup {group.name} has {format_bytes(now)} of {format_bytes(most)} ({file})"]
        words += [f"came to it {count_of(hits, 'time')} in {format_ns(window.window_ns)}"] if hits else []
        words += [f"some of its tasks waited for memory {format_ns(stalled)} of that"] if stalled and hits else []
        held = stalled >= _STALLED * window.window_ns
        if pressure is None:  # the kernel was started without it
            held = _per_second(faults, window) >= _FAULTS_PER_S
        acted = bool(hits) and held
        path = group.path("memory.events")
        yield Limit(pid=pid, kind=file.replace(".", "_"), path=path, text=", ".join(words), acted=acted)


def _v1(window: HostWindow, proc: ProcReader, pid: int, group: CgroupFolder) -> Iterator[Limit]:
    most, now = group.number("memory.limit_in_bytes"), group.number("memory.usage_in_bytes")
    if most is None or now is None or most >= UNLIMITED:
        return
    hits = window.added(group, "memory.failcnt")
    no_killer = "under_oom 1" in group.text("memory.oom_control")
    if not (now >= most * _NEAR or hits or no_killer):
        return
    name = "memory.limit_in_bytes"
    words = [f"its cgroup {group.name} has {format_bytes(now)} of {format_bytes(most)} ({name})"]
    words += ["has run out of it, and its OOM killer is switched off (under_oom 1)"] if no_killer else []
    words += [f"came to it {count_of(hits, 'time')} in {format_ns(window.window_ns)}"] if hits else []
    faults = window.major_faults(proc, pid)
    thrashes = bool(hits) and _per_second(faults, window) >= _FAULTS_PER_S
    words += [f"{pid} read {count_of(faults, 'page')} again"] if thrashes else []
    path = group.path("memory.oom_control" if no_killer else "memory.failcnt")
    yield Limit(pid=pid, kind="memory_max", path=path, text=", ".join(words), acted=no_killer or thrashes)


def swapped_in(window: HostWindow, proc: ProcReader, pid: int) -> Limit | None:
    """A process whose own pages have to come back from swap."""
    faults = window.major_faults(proc, pid)
    words = proc.status(pid).get("VmSwap", "").split()
    swapped = int(words[0]) << 10 if words and words[0].isdecimal() else 0
    if not swapped or window.pages_swapped_in <= 0 or _per_second(faults, window) < _FAULTS_PER_S:
        return None
    window_text, there = format_ns(window.window_ns), format_bytes(swapped)
    text = f"it waited for {count_of(faults, 'page')} in {window_text}, from swap, where {there} of it are"
    return Limit(pid=pid, kind="swap", path=f"{proc.root}/{pid}/status", text=text, acted=True)


def _per_second(faults: int | None, window: HostWindow) -> float:
    return (faults or 0) * 1e9 / window.window_ns
