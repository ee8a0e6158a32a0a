"""Orphans below this process, which the kernel hands to it rather than to init (PR_SET_CHILD_SUBREAPER, prctl(2)).

To the kernel they are children like those that this process started, and whoever started one waits for it: a status
that somebody else has taken is lost to him. So each child counts as our own unless it is certain that nobody here
started it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
import weakref

from straced.linux import procfs

PR_SET_CHILD_SUBREAPER = 36
_STARTERS = {
    "subprocess": ("Popen", "pid"),
    "multiprocessing.popen_fork": ("Popen", "pid"),
    "multiprocessing.resource_tracker": ("ResourceTracker", "_pid"),
    "multiprocessing.forkserver": ("ForkServer", "_forkserver_pid"),
}
"""Classes whose objects start a process without Python's fork hooks, and where each keeps its pid. asyncio uses the
first of them; ``os.fork``, ``pty`` and uvloop run the hooks."""
_Birth = tuple[int, int]
"""A pid and its start time."""


class Adoption:
    """Makes this process the one that orphans go to, and tells them from the children that it started itself."""

    def __init__(self) -> None:
        self._known: dict[_Birth, bool] = dict.fromkeys(_children(), False)
        """The children that were looked at; true for adopted ones."""
        self._before: dict[int, set[_Birth]] = {}
        self._missed_one = False
        """Whether a fork could not be looked at: nobody is taken for adopted any more."""
        _become_subreaper()
        me, owner = weakref.ref(self), os.getpid()

        def before() -> None:
            if (adoption := me()) is not None and os.getpid() == owner:
                adoption._before[threading.get_ident()] = set(_children())

        def after() -> None:
            if (adoption := me()) is not None and os.getpid() == owner:
                try:
                    new = set(_children()) - adoption._before.pop(threading.get_ident(), set())
                    adoption._known.update(dict.fromkeys(new, False))
                except OSError:
                    adoption._missed_one = True

        os.register_at_fork(before=before, after_in_parent=after)

    def orphans(self, own: set[int] | frozenset[int] = frozenset()) -> dict[int, bool]:
        """Adopted processes, and whether each has ended and waits to be reaped.

        Args:
            own: children that are known to be this process's, however they were started.
        """
        now = dict(_children())
        births = set(now.items())
        self._known = {birth: adopted for birth, adopted in self._known.items() if birth in births}
        if new := births - self._known.keys():
            started = None if self._missed_one else _started_here()
            if started is not None:
                self._known.update({birth: birth[0] not in started for birth in new})
        found = [pid for (pid, _), adopted in list(self._known.items()) if adopted and pid not in own]
        return {pid: _is_zombie(pid) for pid in found}

    def reap(self, own: set[int] | frozenset[int] = frozenset()) -> list[int]:
        """Wait for the adopted ones that have ended, and for nobody else; their pids."""
        reaped = []
        for pid, ended in self.orphans(own).items():
            with contextlib.suppress(ChildProcessError):  # another thread has been here
                if ended and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None:
                    reaped.append(pid)
        return reaped


def _children() -> list[_Birth]:
    found = []
    for pid in procfs.children(os.getpid()):
        try:
            found.append((pid, procfs.stat(pid).start_ticks))
        except procfs.Gone:
            continue
    return found


def _is_zombie(pid: int) -> bool:
    try:
        return procfs.stat(pid).state in "ZX"
    except procfs.Gone:
        return False


def _started_here() -> set[int] | None:
    """The pids for which an object of this process stands; ``None`` when one is just being started."""
    if gc.get_freeze_count():
        return None  # frozen objects cannot be listed
    found = set()
    holders = [(getattr(sys.modules.get(module), name, None), field) for module, (name, field) in _STARTERS.items()]
    classes = [(holder, field) for holder, field in holders if isinstance(holder, type)]
    for each in gc.get_objects():
        for holder, field in classes:
            if issubclass(type(each), holder):  # not isinstance: it may run the code of a proxy
                pid = each.__dict__.get(field)
                if pid is None and field == "pid":
                    return None
                found.add(pid)
    return found


def _become_subreaper() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"PR_SET_CHILD_SUBREAPER: {os.strerror(code)}")
