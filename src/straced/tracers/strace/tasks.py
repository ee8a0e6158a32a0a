"""The tasks of a target as /proc shows them: who belongs to it, and who traces each."""

from __future__ import annotations

from msgspec import Struct

from straced.linux import procfs


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
