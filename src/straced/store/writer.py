"""The one writer: a thread that takes ticks and events from a queue, so that no disk ever holds up the collector.

A full disk or a locked file stops history, not profiling: what waits is kept up to a bound, then the oldest of the user
who has most is dropped, counted, and said. A file that turns out to be damaged, or is gone, is replaced by a new one.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import sqlite3
import threading
import time
from pathlib import Path

from straced.config import schema
from straced.errors import StracedError
from straced.model.alerts import AlertRow
from straced.model.tick import ServiceEvent, Tick
from straced.store import database
from straced.store.alerts import close_alerts
from straced.store.queue import Item, LostCalls, WriteQueue
from straced.store.recorder import Recorder

log = logging.getLogger("straced.service")
RETRY_S = 1.0
SAID_MS = 60_000
"""Between two words about samples that were dropped."""


class HistoryWriter:
    """The history of one service. :meth:`start` opens the file; all else returns at once.

    Args:
        path: the database.
        keep: sizes and ages.
    """

    def __init__(self, path: Path, keep: schema.StoreConfig) -> None:
        self.path = path
        self.keep = keep
        self.state = "closed"
        """``ok``, ``full``, ``locked``, ``failed`` or ``closed``."""
        self.interrupted = 0
        """Series that an earlier, killed service had left open."""
        self.moved: Path | None = None
        self._items = WriteQueue()
        self._wake = threading.Condition()
        self._closing = False
        self.notes: collections.deque[tuple[str, str]] = collections.deque()
        """Events about the file itself, kind and text, for the service to tell."""
        self._connection: sqlite3.Connection | None = None
        self._recorder: Recorder
        self._thread: threading.Thread | None = None
        self._identity: tuple[int, int] | None = None
        self._damage = ""
        self._checking: threading.Thread | None = None
        self._lost: dict[tuple[int, int], LostCalls] = {}
        self._said_ms = 0
        self._dropped_said = 0

    @property
    def dropped(self) -> int:
        """Ticks and events of which something was not taken by the disk."""
        return self._items.dropped

    @property
    def _weight(self) -> int:
        return self._items.weight

    def start(self) -> None:
        """Open the file, and begin to write; later when the disk is full now, or the file locked.

        Raises:
            StoreError, StoreTooNew: there will be no history.
        """
        try:
            self._open()
        except database.StoreBusy as error:
            self._say_stopped(error.state, error.reason)
        self._thread = threading.Thread(target=self._run, name="straced-store", daemon=True)
        self._thread.start()

    def known(self) -> list[tuple[str, str, str, float]]:
        """What was learnt of programs: program, kind, what, and when."""
        if self.state != "ok":
            return []
        connection = database.open_for_reading(self.path)
        try:
            rows = connection.execute("select program, kind, what, first_ms from known").fetchall()
        except sqlite3.DatabaseError as error:
            self.suspect(str(error))
            return []
        finally:
            connection.close()
        return [(program, kind, what, ms / 1000) for program, kind, what, ms in rows]

    def tick(self, tick: Tick) -> None:
        """Keep a sample."""
        self.put(tick)

    def event(self, event: ServiceEvent) -> None:
        """Keep an event."""
        self.put(event)

    def alert(self, alert: AlertRow) -> None:
        """Keep an alert as it stands."""
        self.put(alert)

    def put(self, item: Item) -> None:
        """Hand over a tick, an event, an alert, or something learnt; never blocks on the disk."""
        with self._wake:
            if self._closing or self._thread is None:
                return
            self._items.put(item)
            self._wake.notify()

    def suspect(self, why: str) -> None:
        """Somebody found the file damaged: it is moved aside, and a new one begun, if that is so."""
        with self._wake:
            self._damage = self._damage or why
            self._wake.notify()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was handed over is in the file."""
        done = threading.Event()
        self.put(done)
        return done.wait(timeout_s) and self.state == "ok"

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits and close the file; returns whether that could be done in time."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _open(self) -> None:
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
        self._connection = opened.connection
        self.state = "ok"
        if not opened.checked:
            self._checking = threading.Thread(target=self._check, name="straced-check", daemon=True)
            self._checking.start()

    def _begin(self, opened: database.Opened) -> None:
        """Learn what the file has."""
        connection = opened.connection
        self._recorder = Recorder(connection, lambda: self.keep)
        if opened.unclean:
            self.interrupted = self._recorder.catalogue.close_interrupted()
            close_alerts(connection)
            text = f"the service before did not end in order; {self.interrupted} rows were closed"
            self.notes.append(("interrupted", text))
        self._identity = database.identity(self.path)
        if opened.moved is not None:
            self.moved = opened.moved
            self.notes.append(("history_moved", f"the history could not be used and was moved to {opened.moved}"))

    def _check(self) -> None:
        """Read the whole file, beside those who write to it: after an end in order it may be damaged all the same."""
        if why := database.damage_in(self.path):
            self.suspect(why)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (len(self._items) or self._closing or self._damage):
                    self._wake.wait()
                damage, self._damage = self._damage, ""
                batch = self._items.take()
                lost = self._items.take_lost()
                closing = self._closing
            if damage:
                self._replace_if(damage)
            self._lost = dict(lost)
            written = self._try(batch)
            with self._wake:
                self._items.done(written=written)
                self._items.give_back((self._lost if written else lost).values())
            if written:
                for item in batch:
                    if isinstance(item, threading.Event):
                        item.set()
            if closing and (not len(self._items) or not written):
                break
            if not written:
                time.sleep(RETRY_S)
        self._finish()

    def _try(self, batch: list[Item]) -> bool:
        before = self.state
        try:
            self._notice_gone()
            if self._connection is None:
                self._open()
            assert self._connection is not None
            self._connection.execute("begin immediate")
            for item in batch:
                self._recorder.write(item, self._lost)
            self._say_dropped(self._recorder)
            self._connection.execute("commit")
        except (sqlite3.Error, StracedError) as error:
            self._failed(error, before)
            return False
        except Exception:  # a fault of ours: without what cannot be written history goes on
            log.exception("history_failed")
            with contextlib.suppress(sqlite3.Error):
                self._abandon()
            self._items.dropped += len(batch)
            return True
        if before != "ok":
            log.warning("history_resumed", extra={"straced": {"path": str(self.path), "dropped": self.dropped}})
        self.state = "ok"
        return True

    def _notice_gone(self) -> None:
        """A file that was deleted, or replaced, under us: what is written to it nobody would ever find."""
        if self._connection is None or database.identity(self.path) == self._identity:
            return
        text = f"{self.path} was deleted or replaced while it was in use; the history begins anew"
        self.notes.append(("history_gone", text))
        log.warning("history_gone", extra={"straced": {"path": str(self.path)}})
        self._abandon()
        database.move_journals_aside(self.path)

    def _replace_if(self, why: str) -> None:
        """Begin anew when a closer look says that the file is damaged."""
        if self._connection is None or not database.damage_in(self.path):
            return
        log.warning("history_damaged", extra={"straced": {"path": str(self.path), "why": why}})
        self._abandon()
        moved = database.move_aside(self.path)
        with contextlib.suppress(StracedError, sqlite3.Error):
            self._open()
        self.moved = moved
        self.notes.append(("history_moved", f"the history is damaged and was moved to {moved}"))

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _failed(self, error: sqlite3.Error | StracedError, before: str) -> None:
        self.state = before
        state = error.state if isinstance(error, database.StoreBusy) else database.state_of(error) or "failed"
        self._say_stopped(state, str(error))
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        with contextlib.suppress(sqlite3.Error):
            self._recorder.catalogue.forget()
        if state == "failed":  # begin anew with the next attempt: a broken file is moved aside then
            self._connection = None
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _say_stopped(self, state: str, why: str) -> None:
        if state != self.state:
            log.warning("history_stopped", extra={"straced": {"path": str(self.path), "why": why}})
        self.state = state

    def _say_dropped(self, recorder: Recorder) -> None:
        fresh = self.dropped - self._dropped_said
        if not fresh or abs(recorder.last_ms - self._said_ms) < SAID_MS:
            return
        self._dropped_said, self._said_ms = self.dropped, recorder.last_ms
        text = f"{fresh} samples or events did not fit into memory while the disk was slow; their calls count as lost"
        self._write_event(ServiceEvent(epoch_s=recorder.last_ms / 1000, kind="history_dropped", text=text))

    def _write_event(self, event: ServiceEvent) -> None:
        self._recorder.write_event(event)

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            self.state = "closed"
            return
        with contextlib.suppress(sqlite3.Error):
            connection.execute("begin immediate")
            self._recorder.catalogue.write_last()
            connection.execute("update series set end = 'service_stopped' where end is null")
            close_alerts(connection)
            database.mark_clean(connection)
            connection.execute("commit")
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        self.state = "closed"
