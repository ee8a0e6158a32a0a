"""Has the kernel tell of programs that begin, while there are rules which new processes may match."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from straced.config.watch_rules import Rule
from straced.service.collect.collector import Watcher
from straced.service.collect.watchlist import NEWCOMERS
from straced.tracers.ebpf.exec_events import Starts

log = logging.getLogger("straced.service")


class Newcomers:
    """Listens as long as it is worth it; where the kernel does not tell, the looks at all processes remain.

    Args:
        watcher: looks at each.
        possible: whether eBPF can be had at all.
    """

    def __init__(self, watcher: Watcher, *, possible: bool) -> None:
        self._watcher = watcher
        self._possible = possible
        self._starts: Starts | None = None
        self._waiting: list[int] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def listens(self) -> bool:
        """Whether programs are told of as they begin."""
        return self._starts is not None

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Begin or end to listen."""
        wanted = self._possible and any(rule.kind in NEWCOMERS for rule in rules)
        if wanted and self._starts is None:
            try:
                starts = Starts(self._told)
                starts.open()
            except OSError as error:
                self._possible = False
                log.warning("not_told_of_starts", extra={"straced": {"why": str(error)}})
                return
            self._starts = starts
        elif not wanted:
            self.close()

    def _told(self, pids: list[int]) -> None:
        self._waiting += pids
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                pids, self._waiting = self._waiting, []
                await self._watcher.began(pids)
        finally:
            self._task = None

    def close(self) -> None:
        """End to listen."""
        starts, self._starts = self._starts, None
        if starts is not None:
            starts.close()
        if self._task is not None:
            self._task.cancel()
