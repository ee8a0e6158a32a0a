"""ProcessGroupManager: a daemon's children and helpers, ended for certain at shutdown. Opt-in, and by pidfd only."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import time
from pathlib import Path

from straced import procfs
from straced.journal import Journal

DIED_WITHIN_S = 2.0


class ProcessGroupManager:
    """Leads a process group, knows what must not outlive it, and ends that, verified.

    Nothing happens before :meth:`setup` or :meth:`track`; a forked copy is inert.

    Args:
        journal: a file that remembers helpers across a SIGKILL of their owner; see :meth:`cleanup_orphans`.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._owner = os.getpid()
        self._tracked: dict[int, int] = {}
        self._helpers: set[int] = set()
        self._leads = False
        self._registered = False
        self._journal = Journal(journal) if journal is not None else None
        self.original_pgid = os.getpgrp()
        """The group this process was in before :meth:`setup`."""

    @property
    def is_leader(self) -> bool:
        """Whether this process leads its group."""
        return os.getpgrp() == os.getpid()

    @property
    def tracked(self) -> list[int]:
        """Living processes to be ended at shutdown, in the order tracked."""
        return [pid for pid, fd in self._tracked.items() if not _has_ended(fd)]

    def setup(self, foreground: bool = False) -> bool:
        """Become a group leader and register the last-resort clean-up at exit. Idempotent.

        On a controlling terminal nothing is done unless ``foreground``: leaving a shell's group there would take the
        terminal's Ctrl-C away.

        Returns:
            Whether this process leads its group now.
        """
        if os.getpid() != self._owner:
            return False
        if _has_terminal() and not foreground:
            return self.is_leader
        if not self.is_leader:
            with contextlib.suppress(PermissionError):  # a session leader leads already
                os.setpgid(0, 0)
        self._leads = self.is_leader
        if not self._registered:
            self._registered = True
            atexit.register(self._at_exit)
        return self._leads

    def track(self, pid: int, *, helper: bool = False) -> bool:
        """Hold a process by pidfd, to be ended at shutdown; ``helper`` says that it is one of straced's own.

        Returns:
            False when it is gone already.
        """
        if os.getpid() != self._owner or pid in (0, 1, os.getpid()):
            return False
        self._drop_ended()
        if pid not in self._tracked:
            try:
                self._tracked[pid] = os.pidfd_open(pid)
            except OSError:
                return False
        if helper:
            self._helpers.add(pid)
            if self._journal is not None:
                self._journal.add(pid)
        return True

    def untrack(self, pid: int) -> None:
        """Let go of a process without touching it."""
        fd = self._tracked.pop(pid, None)
        self._helpers.discard(pid)
        if fd is not None:
            os.close(fd)

    def kill_all_children(self, sig: int = signal.SIGTERM, *, timeout_s: float = DIED_WITHIN_S) -> list[int]:
        """Signal every tracked process, every descendant, and the group that :meth:`setup` made or confirmed.

        A group that this process does not lead is a shell's pipeline and is left alone.

        Returns:
            Those that still live after ``timeout_s``; empty when all have died.
        """
        if os.getpid() != self._owner:
            return []
        me = os.getpid()
        found = {pid: os.dup(fd) for pid, fd in self._tracked.items()}
        others = set(procfs.descendants(me)) | (_members(me) if self._leads and self.is_leader else set())
        for pid in others - {me, *found}:
            with contextlib.suppress(OSError):
                found[pid] = os.pidfd_open(pid)
        return _end(found, sig, timeout_s)

    def kill_helpers(self, *, timeout_s: float = DIED_WITHIN_S) -> list[int]:
        """End straced's own helpers only: SIGTERM, by which strace lets go of its target, then SIGKILL.

        Returns:
            Those that still live; empty when all have died.
        """
        if os.getpid() != self._owner:
            return []
        for sig in (signal.SIGTERM, signal.SIGKILL):
            left = _end({pid: os.dup(self._tracked[pid]) for pid in self._helpers}, sig, timeout_s)
            if not left:
                break
        return left

    def cleanup_orphans(self) -> list[int]:
        """Reap tracked helpers that have ended, and end helpers of an earlier owner that was killed.

        Only helpers are waited for, never a process that somebody else (asyncio, say) waits for; and an earlier
        owner's are known by the journal (pid, start time, executable, user), never by a name.

        Returns:
            The pids reaped or ended.
        """
        if os.getpid() != self._owner:
            return []
        done = []
        for pid in list(self._helpers):
            with contextlib.suppress(OSError):
                if os.waitid(os.P_PIDFD, self._tracked[pid], os.WEXITED | os.WNOHANG) is not None:
                    done.append(pid)
        self._drop_ended()
        if self._journal is not None:
            for pid, fd in self._journal.orphans().items():
                for sig in (signal.SIGTERM, signal.SIGKILL):
                    if not _end({pid: os.dup(fd)}, sig, DIED_WITHIN_S):
                        break
                os.close(fd)
                done.append(pid)
            self._journal.compact()
        return done

    def _drop_ended(self) -> None:
        for pid in [pid for pid, fd in self._tracked.items() if _has_ended(fd)]:
            self.untrack(pid)

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:
            self.kill_helpers(timeout_s=1.0)
            _end({pid: os.dup(fd) for pid, fd in self._tracked.items()}, signal.SIGTERM, 1.0)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _members(group: int) -> set[int]:
    found = set()
    for pid in procfs.pids():
        with contextlib.suppress(procfs.Gone, OSError):
            if procfs.stat(pid).pgrp == group:
                found.add(pid)
    return found


def _has_ended(pidfd: int) -> bool:
    """A pidfd is readable once its process has ended, reaped or not (pidfd_open(2))."""
    return bool(select.select([pidfd], [], [], 0)[0]) if pidfd < 1024 else bool(_poll([pidfd], 0))


def _poll(fds: list[int], timeout_ms: int) -> set[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _events in poll.poll(timeout_ms)}


def _end(pidfds: dict[int, int], sig: int, timeout_s: float) -> list[int]:
    """Signal, wait together, and tell who is left. Closes the descriptors."""
    for fd in pidfds.values():
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(fd, sig)
    left = dict(pidfds)
    deadline = time.monotonic() + timeout_s
    while left:
        ready = _poll(list(left.values()), max(0, int((deadline - time.monotonic()) * 1000)))
        left = {pid: fd for pid, fd in left.items() if fd not in ready}
        if not ready:
            break
    for fd in pidfds.values():
        os.close(fd)
    return list(left)
