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
        """The calls since the begin."""
        return between(self._before, self._reader.read(), self._me, *self._scopes)

    def part(self) -> CallWindow:
        """Another span, from now on, of the same tasks."""
        made = CallWindow.__new__(CallWindow)
        made._reader, made._scopes, made._me = self._reader, self._scopes, self._me
        made.restart()
        return made

    def doubt(self) -> str:
        """Why something may be missing; ``""``: nothing is."""
        return self._reader.doubt()


def between(before: OwnReading, after: OwnReading, me: tuple[int, int], threads: Scope, children: Scope) -> CallCounts:
    """The calls of the tasks in question.

    Args:
        before: the first reading.
        after: the second one.
        me: process and thread of the test.
        threads: which others of its process.
        children: which descendants.
    """
    pid, _ = me
    old_children = {
        key[0] for key in before.tasks.keys() & after.tasks.keys() if key[1] == 0 and key[0] not in (0, pid)
    }

    def is_meant(key: TaskKey) -> bool:
        if key[:2] == me:
            return True
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
