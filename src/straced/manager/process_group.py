"""ProcessGroupManager: a daemon's children and helpers, ended for certain at shutdown. Opt-in, and by pidfd only."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

from straced.errors import ForkedCopy, NoResources, resources
from straced.linux import pidfds, procfs
from straced.manager.adoption import Adoption
from straced.manager.helper_journal import Journal

DIED_WITHIN_S = 2.0


class ProcessGroupManager:
    """Lead a process group, know what must not outlive it, and end that, verified.

    Nothing happens before :meth:`setup` or :meth:`track`. It belongs to the process that first uses it, so that it may
    be made before a daemon forks into the background. A forked copy of one in use raises
    :class:`~straced.errors.ForkedCopy`, and does nothing.

    Args:
        journal: a file that remembers helpers across a SIGKILL of their owner; see :meth:`cleanup_orphans`.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._owner: int | None = None
        self._tracked: dict[int, int] = {}
        self._helpers: set[int] = set()
        self._leads = False
        self._registered = False
        self._journal = Journal(journal) if journal is not None else None
        self._adoption: Adoption | None = None
        self._original_pgid: int | None = None

    @property
    def original_pgid(self) -> int:
        """The group this process was in before :meth:`setup`."""
        return os.getpgrp() if self._original_pgid is None else self._original_pgid

    @property
    def is_leader(self) -> bool:
        """Whether this process leads its group."""
        return os.getpgrp() == os.getpid()

    @property
    def tracked(self) -> list[int]:
        """Living processes to be ended at shutdown, in the order tracked."""
        if self._owner not in (None, os.getpid()):
            return []
        return [pid for pid, fd in list(self._tracked.items()) if not pidfds.has_ended(fd)]

    @property
    def adopted(self) -> list[int]:
        """Living processes that lost their parent below this one, and became its children; see :meth:`setup`."""
        if self._adoption is None or self._owner != os.getpid():
            return []
        with resources():
            return [pid for pid, ended in self._adoption.orphans(self._own()).items() if not ended]

    def setup(self, foreground: bool = False, *, adopt_orphans: bool = False) -> bool:
        """Become a group leader and register the last-resort clean-up at exit. Idempotent.

        On a controlling terminal nothing is done unless ``foreground``: leaving a shell's group there would take the
        terminal's Ctrl-C away.

        Args:
            foreground: lead a group on a controlling terminal too.
            adopt_orphans: let descendants whose parent ends become children of this process instead of init's, so
                that :meth:`kill_all_children` reaches them wherever they went. :meth:`cleanup_orphans` reaps those
                that have ended. What this process started stays its own to wait for, by ``subprocess``, asyncio,
                ``multiprocessing`` or a fork; a child that C code or ``os.posix_spawn`` started must be tracked.

        Returns:
            Whether this process leads its group now.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
            NoResources: there is no descriptor left to look for children with.
        """
        self._claim()
        if adopt_orphans and self._adoption is None:
            with resources():
                self._adoption = Adoption()
        if _has_terminal() and not foreground:
            return self.is_leader
        if self._original_pgid is None:
            self._original_pgid = os.getpgrp()
        if not self.is_leader:
            with contextlib.suppress(PermissionError):  # a session leader leads already
                os.setpgid(0, 0)
        self._leads = self.is_leader
        if not self._registered:
            self._registered = True
            atexit.register(self._at_exit)
        return self._leads

    def track(self, pid: int, *, helper: bool = False) -> bool:
        """Hold a process by pidfd, to be ended at shutdown.

        Args:
            pid: the process.
            helper: it is one of straced's own.

        Returns:
            False when it is gone already.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
            NoResources: there is no descriptor left to hold it by.
        """
        if pid in (0, 1, self._claim()):
            return False
        self._drop_ended()
        if pid not in self._tracked:
            try:
                with resources(pid):
                    self._tracked[pid] = os.pidfd_open(pid)
            except OSError:
                return False
        if helper:
            self._helpers.add(pid)
            if self._journal is not None:
                with resources(pid):
                    self._journal.add(pid)
        return True

    def untrack(self, pid: int) -> None:
        """Let go of a process without touching it.

        Args:
            pid: the process; one that is not tracked is no error.
        """
        if self._owner != os.getpid():
            return
        fd = self._tracked.pop(pid, None)
        self._helpers.discard(pid)
        if fd is not None:
            os.close(fd)

    def kill_all_children(self, sig: int = signal.SIGTERM, *, timeout_s: float = DIED_WITHIN_S) -> list[int]:
        """Signal every tracked process, every descendant, and the group that :meth:`setup` made or confirmed.

        A group that this process does not lead is a shell's pipeline and is left alone. Without ``adopt_orphans``,
        a process that left group and session, and whose parent has ended, cannot be found.

        Args:
            sig: the signal, of signal(7).
            timeout_s: seconds to wait for their end.

        Returns:
            The pids of those that still live then; empty when all have died.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
            NoResources: only the tracked ones were signalled; there is no descriptor left to look for the others.
        """
        me = self._claim()
        trouble: OSError | None = None
        others: set[int] = set()
        try:
            others.update(procfs.descendants(me), _members(me) if self._leads and self.is_leader else ())
        except OSError as error:
            trouble = error
        left = pidfds.end(self._tracked, others - {me}, sig, timeout_s)
        with resources():
            if trouble is not None:
                raise trouble
        with contextlib.suppress(NoResources):  # the next clean-up does it
            self._reap()
        return left

    def kill_adopted(self, sig: int = signal.SIGKILL, *, timeout_s: float = DIED_WITHIN_S,
                     only: Collection[int] | None = None) -> list[int]:  # fmt: skip
        """Signal the orphans that this process has adopted, and reap those that die of it.

        Args:
            sig: the signal, of signal(7).
            timeout_s: seconds to wait for their end.
            only: the pids of some of them; all when left out.

        Returns:
            The pids of those that still live then.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
            NoResources: there is no descriptor left to look for them with.
        """
        self._claim()
        left = pidfds.end({}, [pid for pid in self.adopted if only is None or pid in only], sig, timeout_s)
        self._reap()
        return left

    def kill_helpers(self, *, timeout_s: float = DIED_WITHIN_S) -> list[int]:
        """End straced's own helpers only: SIGTERM, by which strace lets go of its target, then SIGKILL.

        Args:
            timeout_s: seconds to wait for their end, after each signal.

        Returns:
            The pids of those that still live; empty when all have died.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
        """
        self._claim()
        for sig in (signal.SIGTERM, signal.SIGKILL):
            left = pidfds.end({pid: self._tracked[pid] for pid in self._helpers}, (), sig, timeout_s)
            if not left:
                break
        return left

    def cleanup_orphans(self) -> list[int]:
        """Reap tracked helpers and adopted orphans that have ended; end helpers of an earlier owner that was killed.

        Nothing is waited for that somebody else (asyncio, say) waits for; and an earlier owner's helpers are known by
        the journal (pid, start time, executable, user), never by a name.

        Returns:
            The pids reaped or ended.

        Raises:
            ForkedCopy: this is a copy in a forked child; nothing was done.
            NoResources: there is no descriptor left to look for them with.
        """
        self._claim()
        done = self._reap()
        for pid in list(self._helpers):
            with contextlib.suppress(OSError):
                if os.waitid(os.P_PIDFD, self._tracked[pid], os.WEXITED | os.WNOHANG) is not None:
                    done.append(pid)
        self._drop_ended()
        if self._journal is not None:
            with resources():
                done += _end_orphans(self._journal)
        return done

    def _claim(self) -> int:
        """Bind to the process that uses this first; its pid."""
        me = os.getpid()
        if self._owner is None:
            self._owner = me
        if self._owner != me:
            raise ForkedCopy("ProcessGroupManager", self._owner)
        return me

    def _own(self) -> set[int]:
        return self._tracked.keys() - self._helpers

    def _reap(self) -> list[int]:
        with resources():
            return [] if self._adoption is None else self._adoption.reap(self._own())

    def _drop_ended(self) -> None:
        for pid in [pid for pid, fd in self._tracked.items() if pidfds.has_ended(fd)]:
            self.untrack(pid)

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:
            self.kill_helpers(timeout_s=1.0)
            pidfds.end(self._tracked, (), signal.SIGTERM, 1.0)


def _end_orphans(journal: Journal) -> list[int]:
    """End the helpers that an earlier owner left; the pids of those that have ended."""
    done = []
    for pid, fd in journal.orphans().items():
        for sig in (signal.SIGTERM, signal.SIGKILL):
            if not pidfds.end({pid: fd}, (), sig, DIED_WITHIN_S):
                done.append(pid)
                break
        os.close(fd)
    journal.compact()
    return done


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
