"""The tasks of a target as /proc shows them: who belongs to it, and who traces each."""

from __future__ import annotations

import time

from msgspec import Struct

from straced.linux import procfs

_DOUBT_S = 0.2
"""A hypervisor may take the CPU from the kernel for tens of milliseconds."""


class ProcTask(Struct, frozen=True):
    """A task as /proc shows it: process, thread, who traces it, state letter."""

    pid: int
    tid: int
    tracer: int
    state: str

    @property
    def is_dead(self) -> bool:
        return self.state in "ZX"


def processes_of(pid: int, follow: bool, excluded: frozenset[int] = frozenset()) -> list[int]:
    """The target and, when following, its living descendants, but none of ``excluded`` nor what is below them."""
    if not follow:
        return [pid]
    found, queue = [pid], [pid]
    while queue:
        below = [child for child in procfs.children(queue.pop()) if child not in excluded and child not in found]
        found += below
        queue += below
    return found


class Scan(Struct, frozen=True):
    """What a look at /proc found, and how many tasks were gone before they could be read."""

    tasks: list[ProcTask]
    vanished: int = 0


def scan(processes: list[int], known: set[int] | None = None) -> Scan:
    """Every task of these processes that is not ``known``."""
    found = []
    vanished = 0
    for pid in processes:
        try:
            tids = procfs.tasks(pid)
        except procfs.Gone:
            continue
        for tid in tids:
            if known is not None and tid in known:
                continue
            task = look(pid, tid)
            if task is not None:
                found.append(task)
            else:
                vanished += 1
    return Scan(found, vanished)


def look(pid: int, tid: int) -> ProcTask | None:
    """One task; ``None`` when it is gone, or hidden."""
    try:
        data = procfs.read(f"{pid}/task/{tid}/status")
    except (procfs.Gone, PermissionError):
        return None
    state, tracer = data.find(b"\nState:"), data.find(b"\nTracerPid:")
    if state < 0 or tracer < 0:
        return None
    return ProcTask(pid, tid, int(data[tracer + 11 : data.find(b"\n", tracer + 1)]), chr(data[state + 8]))


class OtherTracers:
    """Who had tasks of a target at the last look that nobody of ours has.

    Where a task gets a tracer or loses it, the end of a traced thread included, the kernel notes down "is traced" and
    "by whom" one after the other (kernel/ptrace.c), and who reads in between finds the parent. So a parent is believed
    to be a tracer when it has been named for a while.
    """

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self.held = 0
        """How many tasks they had."""
        self._doubted: dict[int, float] = {}
        """Tasks whose parent is named as their tracer, and since when."""

    def doubted(self, tasks: list[ProcTask]) -> list[ProcTask]:
        """Of the tasks that are found to have a tracer now: those of which that is not sure yet."""
        now = time.monotonic()
        before, self._doubted, self.pids = self._doubted, {}, set()
        found = []
        for task in tasks:
            if _is_parents(task):
                self._doubted[task.tid] = since = before.get(task.tid, now)
                if now - since < _DOUBT_S:
                    found.append(task)
                    continue
            self.pids.add(task.tracer)
        self.held = len(tasks) - len(found)
        return found


def _is_parents(task: ProcTask) -> bool:
    """Whether the tracer of a task is a thread of its process's parent; true, too, when it is too late to tell."""
    try:
        parent = procfs.stat(task.pid).ppid
        return task.tracer == parent or task.tracer in procfs.tasks(parent)
    except (procfs.Gone, PermissionError):
        return True


_WORKED_TICKS = 2
"""Clock ticks of CPU time (10 ms each) after which a strace is past its attaching, however it was interrupted."""


def has_settled(pid: int, worked: dict[int, int]) -> bool:
    """Whether a strace waits for events, or has worked on since it was first asked about; one that is gone has, too.

    ``worked`` keeps how much CPU time each had used by then: among very many busy tasks it never sleeps.
    """
    try:
        stat = procfs.stat(pid)
    except (procfs.Gone, PermissionError):
        return True
    used = stat.utime_ticks + stat.stime_ticks
    return stat.state in "SZX" or used - worked.setdefault(pid, used) >= _WORKED_TICKS
