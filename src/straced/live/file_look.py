"""Calls by file and peer of the chosen process: counted while somebody looks at them, and not otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from straced.errors import NoSuchProcess, StracedError
from straced.model.file_window import FileWindow, window_of
from straced.model.files import FileTable
from straced.text.sanitize import scrub

if TYPE_CHECKING:
    from straced.model.types import Sample
    from straced.profiling.api import AsyncSession

Attach = Callable[[int], Awaitable["AsyncSession"]]
RETRY_S = 10.0
"""After a refusal it is asked again so much later: rights, and services, come and go."""
LEAST_NS = 90_000_000
"""Readings that follow each other sooner than screens refresh are one."""
_NO_FILES = "this kernel does not tell files and peers; straced doctor says what it can"


class FileLook:
    """Counts one process at a time by file and peer.

    Args:
        attach: begins to count a process, given by pid, with sums by file.
    """

    def __init__(self, attach: Attach) -> None:
        self._attach = attach
        self._now: _Look | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def at(self, key: tuple[int, int]) -> FileWindow:
        """What is known of a process, which is counted from the first time on; any other one is let go of."""
        look = self._now
        if look is None or look.key != key or look.is_stale:
            why_not = look.window.unavailable if look is not None and look.key == key else ""
            self.leave()
            look = self._now = _Look(key, self._attach, list(self._ending), FileWindow(unavailable=why_not))
        return await look.read()

    @property
    def lingers(self) -> bool:
        """Whether a process is still being let go of."""
        return bool(self._ending)

    def leave(self) -> None:
        """Nobody looks any more: let go of the process."""
        look, self._now = self._now, None
        if look is not None:
            self._ending.add(look.task)
            look.task.add_done_callback(self._ending.discard)
            look.task.cancel()

    async def close(self) -> None:
        """Let go, and wait for that."""
        self.leave()
        await asyncio.gather(*self._ending, return_exceptions=True)


class _Look:
    """One process from when somebody looks at it; those that are being let go of go first."""

    def __init__(
        self, key: tuple[int, int], attach: Attach, ending: list[asyncio.Task[None]], window: FileWindow
    ) -> None:
        self.key = key
        self.window = window
        self._session: AsyncSession | None = None
        self._began_ns = 0
        self._before: tuple[int, FileTable] | None = None
        self._reading = asyncio.Lock()
        self._failed_at: float | None = None
        self.task: asyncio.Task[None] = asyncio.create_task(self._hold(attach, ending))

    @property
    def is_stale(self) -> bool:
        """Whether it failed so long ago that it is worth another attempt."""
        return self._failed_at is not None and time.monotonic() > self._failed_at + RETRY_S

    async def read(self) -> FileWindow:
        """What is known now."""
        session = self._session
        if session is not None:
            async with self._reading:
                try:
                    sample = await session.read()
                    if self._session is session:  # else it has ended meanwhile, and its last figures are there
                        self._take(sample)
                except StracedError as error:
                    if self._session is session and not session.ended:
                        self._fail(error)
        return self.window

    async def _hold(self, attach: Attach, ending: list[asyncio.Task[None]]) -> None:
        if ending:
            await asyncio.wait(ending)
        try:
            session = await attach(self.key[0])
            try:
                if session.target.start_ticks != self.key[1]:
                    raise NoSuchProcess(f"process {self.key[0]} has ended", pid=self.key[0])
                self._began_ns = time.monotonic_ns()
                self._session = session
                await session.wait()
                result = await session.result()
                self._session = self._before = None
                if result.files is not None:
                    self._show(result.files, time.monotonic_ns(), result.quality.lost)
                self.window = replace(self.window, ended=True)
            finally:
                self._session = None
                await session.detach()
        except StracedError as error:
            self._fail(error)

    def _take(self, sample: Sample) -> None:
        if self._before is not None and sample.monotonic_ns - self._before[0] < LEAST_NS:
            return
        self._failed_at = None
        if sample.files is None:
            self.window = FileWindow(unavailable=_NO_FILES)
        else:
            self._show(sample.files, sample.monotonic_ns, sample.lost)

    def _show(self, table: FileTable, at_ns: int, lost: int | None) -> None:
        before, self._before = self._before, (at_ns, table)
        earlier, apart_ns = (before[1], at_ns - before[0]) if before is not None else (None, 0)
        self.window = window_of(table, earlier, apart_ns, max(0, at_ns - self._began_ns), lost=lost)

    def _fail(self, error: StracedError) -> None:
        self._failed_at = time.monotonic()
        self.window = FileWindow(unavailable=scrub("; ".join(filter(None, (error.reason, error.hint))), 300))
