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
        self._starved: dict[int, float] = {}
        for (pid, _), activity in seen.tasks.items():
            if activity.run_ns or activity.starved:
                self._starved[pid] = max(self._starved.get(pid, 0.0), activity.starved or 0.0)
        quota = self._quota(chain.task.pid)
        self.starved_by = quota.text if quota and quota.acted else cpu.who_has_the_cpus(host, look.proc, chain.task.pid)
        """What keeps a task of the process from the CPUs."""

    def _quota(self, pid: int) -> Limit | None:
        """The quota of a process that ran in the window, or was ready to."""
        return cpu.quota(self._host, self._look.proc, pid, self._starved[pid]) if pid in self._starved else None

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
        if (quota := self._quota(pid)) is not None:
            yield quota
        if pid in self._starved or task.wait.kind in _HELD_BY_MEMORY:
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
