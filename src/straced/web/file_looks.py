"""Calls by file and peer for pages: of few processes at a time, each for as long as some page asks for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from straced.live.file_look import Attach, FileLook
from straced.model.file_window import FileWindow

if TYPE_CHECKING:
    from straced.model.frame import Key

MOST = 4
"""Processes; each has its calls counted twice, and takes some 10 ms of each tick."""
_FULL = f"{MOST} processes are counted by file for pages already; close one of those pages"
_UNWATCHED = "this process is not watched now"


class FileLooks:
    """Counts processes by file and peer, the first that are asked for.

    Args:
        attach: begins to count a process, given by pid, with sums by file.
        shown: the processes that a page may ask about.
    """

    def __init__(self, attach: Attach, shown: Callable[[], Collection[Key]]) -> None:
        self._attach = attach
        self._shown = shown
        self._pages: dict[Key, int] = {}
        self._looks: dict[Key, FileLook] = {}
        self._left: list[FileLook] = []

    def join(self, key: Key) -> None:
        """One more page asks for a process."""
        self._pages[key] = self._pages.get(key, 0) + 1

    def leave(self, key: Key) -> None:
        """One page less does; without any, the process is let go of."""
        self._pages[key] -= 1
        if not self._pages[key]:
            del self._pages[key]
            look = self._looks.pop(key, None)
            if look is not None:
                look.leave()
                self._left.append(look)

    async def windows(self) -> dict[Key, FileWindow]:
        """What is known of each process that is asked for."""
        self._left = [look for look in self._left if look.lingers]
        return {key: await self._window(key) for key in list(self._pages)}

    async def _window(self, key: Key) -> FileWindow:
        look = self._looks.get(key)
        if look is None:
            if key not in self._shown():
                return FileWindow(unavailable=_UNWATCHED)
            if len(self._looks) >= MOST:
                return FileWindow(unavailable=_FULL)
            look = self._looks[key] = FileLook(self._attach)
        return await look.at(key)

    async def close(self) -> None:
        """Let go of all."""
        for look in (*self._left, *self._looks.values()):
            await look.close()
        self._looks.clear()
        self._pages.clear()
