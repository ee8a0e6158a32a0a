"""The limits that matter for one answer: those of the process, and of whoever stands at the end of its chain."""

from __future__ import annotations

from collections.abc import Iterator

from straced.linux.procfs import Gone
from straced.waits.facts.activity import Observation
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.limits import cpu, io, memory, oom, tasks
from straced.waits.limits.window import HostWindow
from straced.waits.model import Limit, Node, WaitingTask, leaves

_MAX_PROCESSES = 8
_HELD_BY_MEMORY = frozenset({"memory", "file_io", "running", "other"})
"""Waits that a limit of memory or bandwidth can be behind."""


class ReachedLimits:
    """Looks for reached limits, as far as a verdict asks for them."""

    def __init__(self, host: HostWindow, look: ProcSnapshot, chain: Node, seen: Observation) -> None:
        self._host = host
        self._look = look
        self._chain = chain
        ran = (pid for (pid, _), activity in seen.tasks.items() if activity.run_ns or activity.starved)
        self._ran = set(ran)
        quota = cpu.quota(host, look.proc, chain.task.pid) if chain.task.pid in self._ran else None
        self.starved_by = quota.text if quota else cpu.who_has_the_cpus(host, look.proc, chain.task.pid)
        """What keeps a task of the process from the CPUs."""

    def found(self, verdict: str) -> tuple[Limit, ...]:
        """The limits, those that acted first; of a process that only waits for work, that it can start nothing."""
        pid = self._chain.task.pid
        if verdict == "idle":
            return tuple(tasks.of_groups(self._host, self._look.proc, pid, only_acted=True))
        tasks_at_end = {leaf.task.pid: leaf.task for leaf in leaves(self._chain)}
        ends = {pid: self._chain.task, **tasks_at_end} if pid not in tasks_at_end else tasks_at_end
        found = [limit for task in list(ends.values())[:_MAX_PROCESSES] for limit in self._of(task)]
        return tuple(sorted(found, key=lambda limit: not limit.acted))

    def _of(self, task: WaitingTask) -> Iterator[Limit]:
        host, proc, pid = self._host, self._look.proc, task.pid
        if pid in self._ran and (quota := cpu.quota(host, proc, pid)) is not None:
            yield quota
        if pid in self._ran or task.wait.kind in _HELD_BY_MEMORY:
            yield from memory.limits(host, proc, pid)
            yield from io.limits(host, proc, pid)
            if (swap := memory.swapped_in(host, proc, pid)) is not None:
                yield swap
        yield from tasks.of_groups(host, proc, pid)
        yield from tasks.of_process(proc, pid)
        try:
            yield from oom.limits(host, proc, pid)
        except (Gone, OSError):
            return
