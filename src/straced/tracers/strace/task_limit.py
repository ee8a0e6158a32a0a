"""How many tasks a target has, now: what a ptrace tracer must not have too many of."""

from __future__ import annotations

from straced.errors import TooManyTasks
from straced.linux import procfs
from straced.tracers.strace.tasks import processes_of


def count(pid: int, follow: bool, excluded: frozenset[int] = frozenset()) -> int:
    """Threads of the target and, when following, of its descendants. One small file a process is read."""
    total = 0
    for process in processes_of(pid, follow, excluded):
        try:
            total += procfs.stat(process).num_threads
        except procfs.Gone:
            continue
    return total


def check(pid: int, follow: bool, limit: int, excluded: frozenset[int] = frozenset()) -> None:
    """Refuse a full trace of more tasks than may be.

    Raises:
        TooManyTasks: counting is what can be had.
    """
    tasks = count(pid, follow, excluded)
    if tasks > limit:
        raise TooManyTasks(
            f"process {pid} has {tasks} tasks, and a full trace of more than {limit} would bring the machine down",
            hint=f"count instead: attach({pid}); or raise max_tasks",
            pid=pid,
        )
