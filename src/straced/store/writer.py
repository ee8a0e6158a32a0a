"""The one writer: a thread that takes ticks and events from a queue, so that no disk ever holds up the collector.

A full disk or a locked file stops history, not profiling: what waits is kept up to a bound, then the oldest of the user
who has most is dropped, counted, and said. A file that turns out to be damaged, or is gone, is replaced by a new one.
"""

from __future__ import annotations

import collections
import logging
import sqlite3
import threading
import time
from pathlib import Path

from straced.config import schema
from straced.errors import StracedError
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.model.durations import DurationBatch
from straced.model.tick import ServiceEvent, Tick
from straced.store import database
from straced.store.history_file import HistoryFile
from straced.store.queue import Item, LostCalls, WriteQueue
from straced.store.recorder import Recorder
from straced.text.units import count_of

log = logging.getLogger("straced.service")
RETRY_S = 1.0
PIECE_NS, MOST_REST_NS = 2_000_000, 10_000_000
"""So long is worked at a time on what is long, and so long is rested at most."""
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
        self._file = HistoryFile(path, lambda: self.keep, self.suspect, self._rest)
        self._items = WriteQueue()
        self._wake = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._damage = ""
        self._lost: dict[tuple[int, int], LostCalls] = {}
        self._said_ms = 0
        self._dropped_said = 0
        self._awaited = 0
        """How many wait for all that is in the queue."""
        self._rested_ns = 0

    @property
    def state(self) -> str:
        """``ok``, ``full``, ``locked``, ``failed`` or ``closed``."""
        return self._file.state

    @property
    def interrupted(self) -> int:
        """Series that an earlier, killed service had left open."""
        return self._file.interrupted

    @property
    def moved(self) -> Path | None:
        """Where a broken file was moved to."""
        return self._file.moved

    @property
    def notes(self) -> collections.deque[tuple[str, str]]:
        """Events about the file itself, kind and text, for the service to tell."""
        return self._file.notes

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
            self._file.open()
        except database.StoreBusy as error:
            self._file.stopped(error.state, error.reason)
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

    def lived(self) -> set[tuple[int, int]]:
        """Processes of this boot, pid and start time, of which an earlier service did not see the end."""
        if self.state != "ok":
            return set()
        connection = database.open_for_reading(self.path)
        try:
            return set(
                connection.execute(
                    "select pid, start_ticks from series where kind = 'process' and boot_id = ?"
                    " and (end is null or end in ('interrupted', 'service_stopped'))",
                    (procfs.boot_id(),),
                )
            )
        except sqlite3.DatabaseError as error:
            self.suspect(str(error))
            return set()
        finally:
            connection.close()

    def tick(self, tick: Tick) -> None:
        """Keep a sample."""
        self.put(tick)

    def event(self, event: ServiceEvent) -> None:
        """Keep an event."""
        self.put(event)

    def alert(self, alert: AlertRow) -> None:
        """Keep an alert as it stands."""
        self.put(alert)

    def durations(self, batch: DurationBatch) -> None:
        """Keep how long calls took."""
        if batch.programs:
            self.put(batch)

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
        self._awaited += 1
        try:
            self.put(done)
            return done.wait(timeout_s) and self.state == "ok"
        finally:
            self._awaited -= 1

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits and close the file; returns whether that could be done in time."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

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
                self._file.replace_if_damaged(damage)
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
        self._file.finish()

    def _rest(self) -> None:
        """Leave the interpreter to the loop for a while: each of its calls of the kernel gives it away to this thread.

        Whoever waits for what is written here is not kept waiting for longer.
        """
        now_ns = time.monotonic_ns()
        busy_ns = now_ns - self._rested_ns
        if busy_ns < PIECE_NS or self._closing or self._awaited:
            return
        time.sleep(min(2 * busy_ns, MOST_REST_NS) / 1e9)
        self._rested_ns = time.monotonic_ns()

    def _try(self, batch: list[Item]) -> bool:
        before = self.state
        self._rested_ns = time.monotonic_ns()
        try:
            connection = self._file.begin()
            for item in batch:
                self._file.recorder.write(item, self._lost)
            self._say_dropped(self._file.recorder)
            connection.execute("commit")
        except (sqlite3.Error, StracedError) as error:
            self._file.state = before
            self._file.failed(error)
            return False
        except Exception:  # a fault of ours: without what cannot be written history goes on
            log.exception("history_failed")
            self._file.abandon()
            self._items.dropped += len(batch)
            return True
        if before != "ok":
            log.warning("history_resumed", extra={"straced": {"path": str(self.path), "dropped": self.dropped}})
        self._file.state = "ok"
        return True

    def _say_dropped(self, recorder: Recorder) -> None:
        fresh = self.dropped - self._dropped_said
        if not fresh or abs(recorder.last_ms - self._said_ms) < SAID_MS:
            return
        self._dropped_said, self._said_ms = self.dropped, recorder.last_ms
        many = count_of(fresh, "sample or event", "samples or events")
        text = f"{many} did not fit into memory while the disk was slow; their calls count as lost"
        recorder.write_event(ServiceEvent(epoch_s=recorder.last_ms / 1000, kind="history_dropped", text=text))
