"""The database of one writer while it is in use: opened, found damaged or gone, begun anew, and closed in order."""

from __future__ import annotations

import collections
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from straced.config import schema
from straced.errors import StracedError
from straced.store import database
from straced.store.alerts import close_alerts
from straced.store.recorder import Recorder
from straced.text.units import count_of

log = logging.getLogger("straced.service")


class HistoryFile:
    """Used by one thread at a time.

    Args:
        path: the database.
        keep: sizes and ages, as they are now.
        suspect: told, from a thread of its own, that the file is damaged.
        rest: called between the pieces of long work.
    """

    def __init__(
        self,
        path: Path,
        keep: Callable[[], schema.StoreConfig],
        suspect: Callable[[str], None],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.state = "closed"
        """``ok``, ``full``, ``locked``, ``failed`` or ``closed``."""
        self.interrupted = 0
        """Series that an earlier, killed service had left open."""
        self.moved: Path | None = None
        """Where a broken file was moved to."""
        self.notes: collections.deque[tuple[str, str]] = collections.deque()
        """Events about the file itself, kind and text, for the service to tell."""
        self.connection: sqlite3.Connection | None = None
        self.recorder: Recorder
        self._keep = keep
        self._suspect = suspect
        self._rest = rest
        self._identity: tuple[int, int] | None = None

    def open(self) -> None:
        """Open it, or begin a new one.

        Raises:
            StoreBusy: the disk is full, or the file locked.
            StoreError, StoreTooNew: there will be no history.
        """
        opened = database.open_for_writing(self.path)
        try:
            self._begin(opened)
        except sqlite3.DatabaseError as error:
            opened.connection.close()
            if state := database.state_of(error):
                raise database.StoreBusy(f"{self.path}: {error}", state) from error
            if isinstance(error, sqlite3.OperationalError):
                raise database.StoreError(f"{self.path}: {error}", hint="see store.path in straced.toml") from error
            moved = database.move_aside(self.path)  # its pages are damaged, though it ended in order
            opened = database.open_for_writing(self.path)
            opened.moved = moved
            self._begin(opened)
        self.connection = opened.connection
        self.state = "ok"
        if not opened.checked:
            threading.Thread(target=self._check, name="straced-check", daemon=True).start()

    def _begin(self, opened: database.Opened) -> None:
        """Learn what the file has."""
        connection = opened.connection
        self.recorder = Recorder(connection, self._keep, self._rest)
        if opened.unclean:
            self.interrupted = self.recorder.catalogue.close_interrupted()
            close_alerts(connection)
            closed = count_of(self.interrupted, "row was closed", "rows were closed")
            text = f"the service before did not end in order; {closed}"
            self.notes.append(("interrupted", text))
        self._identity = database.identity(self.path)
        if opened.moved is not None:
            self.moved = opened.moved
            self.notes.append(("history_moved", f"the history could not be used and was moved to {opened.moved}"))

    def _check(self) -> None:
        """Read the whole file, beside those who write to it: after an end in order it may be damaged all the same."""
        if why := database.damage_in(self.path):
            self._suspect(why)

    def begin(self) -> sqlite3.Connection:
        """Begin a transaction, in a new file if this one is gone or was given up."""
        self._notice_gone()
        if self.connection is None:
            self.open()
        assert self.connection is not None
        self.connection.execute("begin immediate")
        return self.connection

    def _notice_gone(self) -> None:
        """A file that was deleted, or replaced, under us: what is written to it nobody would ever find."""
        if self.connection is None or database.identity(self.path) == self._identity:
            return
        text = f"{self.path} was deleted or replaced while it was in use; the history begins anew"
        self.notes.append(("history_gone", text))
        log.warning("history_gone", extra={"straced": {"path": str(self.path)}})
        self.abandon()
        database.move_journals_aside(self.path)

    def replace_if_damaged(self, why: str) -> None:
        """Begin anew when a closer look says that the file is damaged."""
        if self.connection is None or not database.damage_in(self.path):
            return
        log.warning("history_damaged", extra={"straced": {"path": str(self.path), "why": why}})
        self.abandon()
        moved = database.move_aside(self.path)
        with contextlib.suppress(StracedError, sqlite3.Error):
            self.open()
        self.moved = moved
        self.notes.append(("history_moved", f"the history is damaged and was moved to {moved}"))

    def abandon(self) -> None:
        """Close it as it is."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def failed(self, error: sqlite3.Error | StracedError) -> None:
        """Undo the transaction, and say why nothing can be written now."""
        state = error.state if isinstance(error, database.StoreBusy) else database.state_of(error) or "failed"
        self.stopped(state, str(error))
        connection = self.connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        with contextlib.suppress(sqlite3.Error):
            self.recorder.catalogue.forget()
        if state == "failed":  # begin anew with the next attempt: a broken file is moved aside then
            self.abandon()

    def stopped(self, state: str, why: str) -> None:
        """Say, once, that nothing is written."""
        if state != self.state:
            log.warning("history_stopped", extra={"straced": {"path": str(self.path), "why": why}})
        self.state = state

    def finish(self) -> None:
        """Close what is open in it, and it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("begin immediate")
                self.recorder.catalogue.write_last()
                connection.execute("update series set end = 'service_stopped' where end is null")
                close_alerts(connection)
                database.mark_clean(connection)
                connection.execute("commit")
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self.state = "closed"
