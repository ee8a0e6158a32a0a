"""A daemon's own process-group manager, replaced by straced's: the names and the return values that it codes against.

Replace ``from mydaemon.pgroup import ProcessGroupManager`` by ``from drop_in import ProcessGroupManager``, and give
``StraceManager(process_group=manager.group)`` the one inside, so that its helpers are ended with the rest.

What differs, on purpose: a reused pid is never signalled, exit statuses are left to whoever waits for them, a process
that left group and session is reached as well, and no orphan of somebody else is ever touched.
"""

from __future__ import annotations

import os
import signal

import straced


class ProcessGroupManager:
    """The daemon's names, on :class:`straced.ProcessGroupManager`."""

    def __init__(self) -> None:
        self.group = straced.ProcessGroupManager()
        self._leads = False
        self._backends: set[int] = set()

    @property
    def is_leader(self) -> bool:
        """Whether :meth:`setup` has made or found this process the leader of its group."""
        return self._leads

    @property
    def original_pgid(self) -> int:
        """The group before :meth:`setup`."""
        return self.group.original_pgid

    def setup(self) -> None:
        """Lead a group of its own, and adopt the orphans of what is started from now on."""
        self._leads = self.group.setup(adopt_orphans=True)

    def track_backend_pid(self, pid: int) -> None:
        """A backend was started: to be ended at shutdown, and its orphans once it has ended."""
        self._backends.add(pid)
        self.group.track(pid)

    def untrack_backend_pid(self, pid: int) -> None:
        """It has ended cleanly."""
        self._backends.discard(pid)
        self.group.untrack(pid)

    def kill_all_children(self, sig: int = signal.SIGTERM) -> int:
        """Signal all children, wherever they went, and see them die.

        Returns:
            The process group that was signalled, 0 when this process leads none.
        """
        if not self._leads:
            return 0
        self.group.kill_all_children(sig)
        return os.getpgrp()

    def cleanup_orphans(self) -> list[int]:
        """Reap adopted orphans and helpers that have ended; their pids."""
        return self.group.cleanup_orphans()

    def reap_orphaned_backends(self) -> list[int]:
        """Kill what backends that have died left behind; the pids killed.

        A dead backend's are those of its session or group, and, once no backend lives that could have started them,
        all others too.
        """
        living = set(self.group.tracked) & self._backends
        dead = self._backends - living
        self._backends = living
        if not dead:
            return []
        left_behind = [pid for pid in self.group.adopted if not living or _belongs_to(pid, dead)]
        survivors = self.group.kill_adopted(signal.SIGKILL, only=left_behind)
        return [pid for pid in left_behind if pid not in survivors]


def _belongs_to(pid: int, backends: set[int]) -> bool:
    try:
        return os.getsid(pid) in backends or os.getpgid(pid) in backends
    except ProcessLookupError:
        return False
