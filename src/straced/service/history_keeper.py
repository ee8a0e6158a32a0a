"""The history of a service: opened, re-opened elsewhere, and closed; it is one of the sinks while it is open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from straced.config.schema import Config
from straced.service.sinks.fanout import Fanout
from straced.store.database import StoreError
from straced.store.learnt_names import user_of
from straced.store.queue import LearntRows
from straced.store.writer import HistoryWriter

log = logging.getLogger("straced.service")


class HistoryKeeper:
    """Keeps history where the configuration wants it.

    Args:
        fanout: the sinks of the service.
        default: the path where the configuration names none.
        say: told of each event about the file: kind and text.
        learn: told what history knows of programs, whenever it was opened.
    """

    def __init__(
        self,
        fanout: Fanout,
        default: Path,
        say: Callable[[str, str], None],
        learn: Callable[[list[tuple[str, str, str, float]]], None],
    ) -> None:
        self._fanout = fanout
        self._default = default
        self._say = say
        self._learn = learn
        self.store: HistoryWriter | None = None
        """The writer, while history is kept."""

    def path(self, config: Config) -> Path:
        """Where history is."""
        return Path(config.store.path) if config.store.path else self._default

    def open(self, config: Config) -> None:
        """Open history, if it is wanted.

        Raises:
            StoreError: there is no place for it.
        """
        if not config.store.enabled:
            return
        store = HistoryWriter(self.path(config), config.store)
        store.start()
        self.store = store
        self._fanout.sinks.insert(0, store)
        self._learn(store.known())
        self.tell_notes()

    def tell_notes(self) -> None:
        """Say what the store found out about its file."""
        while self.store is not None and self.store.notes:
            self._say(*self.store.notes.popleft())

    def keep_learnt(self, learnt: Iterable[tuple[str, str, str]], epoch_s: float) -> None:
        """Keep what was learnt of programs, by user."""
        by_user: dict[int, list[tuple[str, str, str]]] = {}
        for each in learnt:
            by_user.setdefault(user_of(each[0]), []).append(each)
        for uid, rows in by_user.items():
            if self.store is not None:
                self.store.put(LearntRows(uid, epoch_s, rows))

    def configure(self, before: Config, config: Config) -> str | None:
        """Take another configuration.

        Returns:
            Why history cannot be kept any more, without what may be secret; ``None`` when it can.
        """
        if (config.store.path, config.store.enabled) == (before.store.path, before.store.enabled):
            if self.store is not None:
                self.store.keep = config.store
            return None
        if self.store is not None:
            self.store.close()
            self._fanout.remove(self.store)
            self.store = None
        try:
            self.open(config)
        except StoreError as error:
            log.warning("history_stopped", extra={"straced": {"why": error.reason}})
            return "store.path cannot be used"
        return None

    async def close(self, timeout_s: float) -> None:
        """Write what waits, for at most this long, and close."""
        if self.store is not None:
            await asyncio.to_thread(self.store.close, timeout_s)
