"""Whose an object is: the process and the event loop that used it first. A forked copy is inert, and says so."""

from __future__ import annotations

import asyncio
import os

from straced.concurrency.shielding import running_loop
from straced.errors import ForkedCopy, NoEventLoop


class OwnerBinding:
    """Bound at the first use: what was made before a daemon forked belongs to the daemon."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def here(self) -> bool:
        """False in a forked copy of something that was in use."""
        return self._pid is None or self._pid == os.getpid()

    def check(self) -> None:
        """Bind to this process.

        Raises:
            ForkedCopy: it is a copy in a forked child.
        """
        if self._pid is None:
            self._pid = os.getpid()
        if not self.here:
            raise ForkedCopy(self._what, self._pid)

    def enter(self) -> bool:
        """Bind to this process and to the running loop; whether the loop is another one than before.

        Raises:
            ForkedCopy: it is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or the loop of its first user still runs in another thread.
        """
        self.check()
        loop = running_loop()
        if loop is self._loop:
            return False
        if self._loop is not None and self._loop.is_running():
            raise NoEventLoop("another event loop uses this now", hint="make one for each, or use straced.blocking")
        self._loop = loop
        return True
