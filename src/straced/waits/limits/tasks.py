"""Limits on the number of tasks and descriptors: pids.max of control groups, RLIMIT_NPROC and RLIMIT_NOFILE."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.text.units import count_of, format_count, format_ns
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import groups_of, read
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit

_SOFT = re.compile(r"^(Max open files|Max processes) +(\d+) ", re.MULTILINE)
_MOST_DESCRIPTORS = 1 << 20


def of_groups(window: HostWindow, proc: ProcReader, pid: int, *, only_acted: bool = False) -> Iterator[Limit]:
    """The groups of a process that may have no further task; ``only_acted``: and refused one in the window."""
    groups = groups_of(proc, pid, "pids")
    # Where a start was refused is counted in the group of who tried, or in the one that refused: kernels differ.
    refused = max((window.added(group, "pids.events", "max") or 0 for group in groups), default=0)
    for group in () if only_acted and not refused else groups:
        most, now = group.number("pids.max"), group.number("pids.current")
        if most is None or now is None or now < most:
            continue
        text = f"its cgroup {group.name} has {format_count(now)} of {count_of(most, 'task')} (pids.max)"
        text += (
            f"; {count_of(refused, 'more was', 'more were')} refused in {format_ns(window.window_ns)}"
            if refused
            else ""
        )
        yield Limit(pid=pid, kind="pids_max", path=group.path("pids.max"), text=text, acted=bool(refused))


def of_process(proc: ProcReader, pid: int) -> Iterator[Limit]:
    """The resource limits that a process has reached: it can open nothing, or start nothing."""
    text = (proc.optional(pid, "limits") or b"").decode("ascii", "replace")
    soft = {name: int(number) for name, number in _SOFT.findall(text)}
    path = f"{proc.root}/{pid}/limits"
    if (open_files := _descriptors(proc, pid, soft.get("Max open files"))) is not None:
        yield Limit(pid=pid, kind="nofile", path=path, text=open_files)
    if (tasks := _tasks_of_user(proc, pid, soft.get("Max processes"))) is not None:
        yield Limit(pid=pid, kind="nproc", path=path, text=tasks)


def _descriptors(proc: ProcReader, pid: int, most: int | None) -> str | None:
    """A descriptor above a limit that was lowered later is none of those that count."""
    if most is None or most > _MOST_DESCRIPTORS:
        return None
    try:
        numbers = os.listdir(f"{proc.root}/{proc.where(pid, 'fd')}/fd")
    except OSError:
        return None
    if len(numbers) < most or sum(int(number) < most for number in numbers) < most:
        return None
    return f"it has {format_count(most)} of {count_of(most, 'descriptor')} open (RLIMIT_NOFILE)"


def _tasks_of_user(proc: ProcReader, pid: int, most: int | None) -> str | None:
    """All processes are only counted where the machine has that many tasks at all. Root is not held to it."""
    uid = proc.uid(pid)
    if most is None or uid is None or uid == 0 or _tasks_of_machine(proc) < most:
        return None
    now = proc.cached("tasks of user", uid, lambda: _count(proc, uid))
    if now < most:
        return None
    return f"user {uid} has {format_count(now)} of {count_of(most, 'task')} (RLIMIT_NPROC)"


def _tasks_of_machine(proc: ProcReader) -> int:
    words = read(f"{proc.root}/loadavg").split()
    return int(words[3].partition("/")[2]) if len(words) > 3 else 0


def _count(proc: ProcReader, uid: int) -> int:
    total = 0
    for pid in procfs.pids(proc.root):
        try:
            if proc.uid(pid) == uid:
                total += proc.stat(pid).num_threads
        except (Gone, OSError):
            continue
    return total
