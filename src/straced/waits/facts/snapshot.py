"""Everything that one look at the system shares: the readers, and what was found for each task."""

from __future__ import annotations

from collections.abc import Iterable

from straced import syscalls
from straced.waits.facts.clock import SchedulerClock
from straced.waits.facts.fds import DescriptorHolders
from straced.waits.facts.locks import Locks
from straced.waits.facts.proc import ProcReader, RawTask
from straced.waits.facts.sockets import Sockets


class ProcSnapshot:
    """One moment, read lazily. Make a new one for the next moment."""

    def __init__(self, proc: ProcReader | None = None) -> None:
        self.proc = proc or ProcReader()
        self.clock = SchedulerClock(self.proc)
        self.owners = DescriptorHolders(self.proc)
        self.sockets = Sockets(self.proc)
        self._raw: dict[tuple[int, int], RawTask] = {}
        self._locks: Locks | None = None

    @property
    def locks(self) -> Locks:
        if self._locks is None:
            self._locks = Locks(self.proc)
        return self._locks

    def task(self, pid: int, tid: int) -> RawTask:
        """A task, read once a look.

        Raises:
            Gone: it ended.
        """
        key = (pid, tid)
        if key not in self._raw:
            self._raw[key] = self.proc.task(pid, tid)
        return self._raw[key]

    def tasks(self, pid: int) -> Iterable[int]:
        """The thread ids of a process, the leader first.

        Raises:
            Gone: it ended.
        """
        return self.proc.cached("tasks", pid, lambda: self.proc.tasks(pid))

    def call_name(self, raw: RawTask) -> str | None:
        """The name of the call a task is in."""
        if raw.number is None or raw.number < 0:
            return None
        native = syscalls.native_abi()
        abi = native if self.proc.is_native(raw.pid) else {"x86_64": "i386", "arm64": "arm"}[native]
        return syscalls.syscall_name(raw.number & ~0x40000000 if native == "x86_64" else raw.number, abi)
