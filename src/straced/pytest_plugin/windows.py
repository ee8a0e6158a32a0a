"""What a test called between two readings: its own thread, and the threads and children that were asked for."""

from __future__ import annotations

import gc
import os
import threading
from typing import Literal, Protocol

from straced.model.budgets import CallCounts
from straced.tracers.ebpf.own_process import OwnReading, TaskKey

Scope = bool | Literal["all"]
"""``False``: none; ``True``: those that were started since; ``"all"``: those that ran before, too."""


class CallReader(Protocol):
    """Reads the calls of this process and of its descendants, in the middle of it."""

    def read(self) -> OwnReading:
        """The counters now, without the calls that reading takes."""
        ...

    def doubt(self) -> str:
        """Why something may be missing since the last time that this was asked; ``""``: nothing is."""
        ...


class CallWindow:
    """A span of a test, from when it is made."""

    def __init__(self, reader: CallReader, threads: Scope = True, children: Scope = True) -> None:
        self._reader = reader
        self._scopes = threads, children
        self._me = os.getpid(), threading.get_native_id()
        self.restart()

    def restart(self) -> None:
        """Begin again from now on."""
        self._before = self._reader.read()

    def counts(self) -> CallCounts:
        """The calls since the begin; with those of what ran before and ended since, where that cannot be told apart."""
        self._after = self._reader.read()
        return between(self._before, self._after, self._me, *self._scopes)

    def least(self) -> CallCounts:
        """Of the last :meth:`counts`, without what may be of others."""
        return between(self._before, self._after, self._me, *self._scopes, surely=True)

    def part(self) -> CallWindow:
        """Another span, from now on, of the same tasks."""
        made = CallWindow.__new__(CallWindow)
        made._reader, made._scopes, made._me = self._reader, self._scopes, self._me
        made.restart()
        return made

    def doubt(self) -> str:
        """Why something may be missing; ``""``: nothing is."""
        return self._reader.doubt()


def between(
    before: OwnReading,
    after: OwnReading,
    me: tuple[int, int],
    threads: Scope,
    children: Scope,
    *,
    surely: bool = False,
) -> CallCounts:
    """The calls of the tasks in question.

    Args:
        before: the first reading.
        after: the second one.
        me: process and thread of the test.
        threads: which others of its process.
        children: which descendants.
        surely: leave out what ended and cannot be told from what ran before and ended, too.
    """
    pid, _ = me
    mixed = _mixed(before, after, pid) if surely else frozenset()
    old_children = {
        key[0] for key in before.tasks.keys() & after.tasks.keys() if key[1] == 0 and key[0] not in (0, pid)
    }

    def is_meant(key: TaskKey) -> bool:
        if key[:2] == me:
            return True
        scope, ended = (threads, (pid, 0)) if key[0] == pid else (children, (0, 0))
        if scope != "all" and ended in mixed and (key[:2] == ended or key not in after.tasks):
            return False
        if key[0] != pid:
            return children == "all" or (children and key[0] not in old_children)
        ran_before = key[1] != 0 and key in before.tasks and key in after.tasks
        return threads == "all" or (threads and not ran_before)

    found = CallCounts()
    for reading, factor in ((after, 1), (before, -1)):
        for key, counts in reading.tasks.items():
            if is_meant(key):
                found = found.plus(counts, factor)
    return found.plus(CallCounts({"bpf": after.requests - before.requests}), -1)


def _mixed(before: OwnReading, after: OwnReading, pid: int) -> frozenset[tuple[int, int]]:
    """The rows of what ended in which there is what ran before the window and ended in it: its calls went there."""
    gone = before.tasks.keys() - after.tasks.keys()
    threads = any(key[0] == pid and key[1] for key in gone)
    children = any(key[0] not in (0, pid) and not key[1] for key in gone)
    return frozenset({(pid, 0)} if threads else ()) | frozenset({(0, 0)} if children else ())


class KeptGarbage:
    """While it is entered, what was garbage before is not collected: closing its files would be a call of the test.

    A program that freezes objects itself is left alone.
    """

    def __enter__(self) -> None:
        self._ours = gc.get_freeze_count() == 0
        if self._ours:
            gc.freeze()

    def __exit__(self, *error: object) -> None:
        if self._ours:
            gc.unfreeze()
