"""The one writer: a thread that takes ticks and events from a queue, so that no disk ever holds up the collector.

A full disk or a locked file stops history, not profiling: what waits is kept up to a bound, then the oldest is
dropped, counted, and said.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import sqlite3
import threading
import time
from pathlib import Path

import msgspec

from straced import config, procfs
from straced.errors import StracedError
from straced.service.authorisation import NOBODY
from straced.service.facts import HostFacts
from straced.service.samples import Happening, ProcessSample, Tick
from straced.service.store import opening, retention, rollup
from straced.service.store.alerts_table import AlertRow, close_alerts, write_alert
from straced.service.store.packing import Row, encode, facts_of, pack_calls, pack_facts
from straced.service.store.series import Catalogue

log = logging.getLogger("straced.service")
GONE = "X"
MAX_WAITING = 600
"""Ticks and events that may wait for the disk."""
MAX_WEIGHT = 120_000
"""Processes, and pairs of calls, in the ticks that may wait: some 50 MB."""
RETRY_S = 1.0
Item = Tick | Happening | AlertRow | threading.Event | tuple[str, str, str, float]


class Store:
    """The history of one service. :meth:`start` opens the file; all else returns at once.

    Args:
        path: the database.
        keep: sizes and ages.
    """

    def __init__(self, path: Path, keep: config.Store) -> None:
        self.path = path
        self.keep = keep
        self.state = "closed"
        """``ok``, ``full``, ``locked``, ``failed`` or ``closed``."""
        self.dropped = 0
        """Ticks and events that the disk did not take."""
        self.interrupted = 0
        """Series that an earlier, killed service had left open."""
        self.moved: Path | None = None
        self.cut_ms: int | None = None
        """History before this was dropped for its size."""
        self._items: collections.deque[Item] = collections.deque()
        self._weight = 0
        self._wake = threading.Condition()
        self._closing = False
        self.notes: collections.deque[tuple[str, str]] = collections.deque()
        """Events about the file itself, kind and text, for the service to tell."""
        self._connection: sqlite3.Connection | None = None
        self._catalogue: Catalogue
        self._thread: threading.Thread | None = None
        self._last_ms = 0
        self._minute = -1

    def start(self) -> None:
        """Open the file, and begin to write; later when the disk is full now, or the file locked.

        Raises:
            StoreError, StoreTooNew: there will be no history.
        """
        try:
            self._open()
        except opening.StoreBusy as error:
            self._say_stopped(error.state, error.reason)
        self._thread = threading.Thread(target=self._run, name="straced-store", daemon=True)
        self._thread.start()

    def known(self) -> list[tuple[str, str, str, float]]:
        """What was learnt of programs: program, kind, what, and when."""
        if self.state != "ok":
            return []
        connection = opening.open_for_reading(self.path)
        try:
            rows = connection.execute("select program, kind, what, first_ms from known").fetchall()
        finally:
            connection.close()
        return [(program, kind, what, ms / 1000) for program, kind, what, ms in rows]

    def put(self, item: Item) -> None:
        """Hand over a tick, an event, an alert, or something learnt; never blocks on the disk."""
        with self._wake:
            if self._closing or self._thread is None:
                return
            self._items.append(item)
            self._weight += _weight(item)
            while len(self._items) > MAX_WAITING or self._weight > MAX_WEIGHT:
                lost = self._items.popleft()
                self._weight -= _weight(lost)
                self.dropped += 1
                if isinstance(lost, threading.Event):
                    lost.set()
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
        opened = opening.open_for_writing(self.path)
        self._connection = opened.connection
        self._catalogue = Catalogue(self._connection, procfs.boot_id())
        if opened.moved is not None:
            self.moved = opened.moved
            self.notes.append(("history_moved", f"the history could not be used and was moved to {opened.moved}"))
        if opened.unclean:
            self.interrupted = self._catalogue.close_interrupted()
            close_alerts(self._connection)
            text = f"the service before did not end in order; {self.interrupted} rows were closed"
            self.notes.append(("interrupted", text))
        self._last_ms = self._connection.execute("select coalesce(max(ts), 0) from host").fetchone()[0]
        self.state = "ok"

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._items and not self._closing:
                    self._wake.wait()
                batch = list(self._items)
                closing = self._closing
            written = self._try(batch)
            with self._wake:
                for item in batch if written else ():
                    if self._items and self._items[0] is item:
                        self._weight -= _weight(self._items.popleft())
            if written:
                for item in batch:
                    if isinstance(item, threading.Event):
                        item.set()
            if closing and (not self._items or not written):
                break
            if not written:
                time.sleep(RETRY_S)
        self._finish()

    def _try(self, batch: list[Item]) -> bool:
        before = self.state
        try:
            if self._connection is None:
                self._open()
            assert self._connection is not None
            self._connection.execute("begin immediate")
            for item in batch:
                self._write(self._connection, item)
            self._connection.execute("commit")
        except (sqlite3.Error, StracedError) as error:
            self._failed(error, before)
            return False
        if before != "ok":
            log.warning("history_resumed", extra={"straced": {"path": str(self.path), "dropped": self.dropped}})
        self.state = "ok"
        return True

    def _failed(self, error: sqlite3.Error | StracedError, before: str) -> None:
        self.state = before
        state = error.state if isinstance(error, opening.StoreBusy) else opening.state_of(error) or "failed"
        self._say_stopped(state, str(error))
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        self._catalogue.forget()
        if state == "failed":  # begin anew with the next attempt: a broken file is moved aside then
            self._connection = None
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _say_stopped(self, state: str, why: str) -> None:
        if state != self.state:
            log.warning("history_stopped", extra={"straced": {"path": str(self.path), "why": why}})
        self.state = state

    def _write(self, connection: sqlite3.Connection, item: Item) -> None:
        if isinstance(item, Tick):
            self._write_tick(connection, item)
        elif isinstance(item, Happening):
            self._write_event(connection, item)
        elif isinstance(item, AlertRow):
            write_alert(connection, item)
        elif isinstance(item, tuple):
            program, kind, what, epoch_s = item
            connection.execute(
                "insert or ignore into known values (?, ?, ?, ?)", (program, kind, what, int(epoch_s * 1000))
            )

    def _write_tick(self, connection: sqlite3.Connection, tick: Tick) -> None:
        ts = int(tick.epoch_s * 1000)
        while not self._write_host(connection, ts, tick.host):
            ts += 1  # the clock was stepped back onto a moment that has a row
        if ts < self._last_ms:
            self._note_step(connection, ts)
        self._last_ms = ts
        minute = ts // rollup.MINUTE_MS
        if minute != self._minute:
            self._turn_minute(connection, minute, ts)
        rows = []
        for sample in tick.processes:
            row = self._row(sample, ts, minute)
            if row is not None:
                rows.append(row)
            if sample.ended or sample.lost != 0:
                rows.append(self._row_of_ended(sample, ts))
            if sample.others:
                rows.append(self._row_of_others(sample, ts))
        connection.executemany("insert or replace into sample (ts, series, data) values (?, ?, ?)", rows)

    def _row(self, sample: ProcessSample, ts: int, minute: int) -> tuple[int, int, bytes] | None:
        if sample.facts.state == GONE and not sample.calls:
            return None
        series = self._catalogue.of(sample, ts)
        facts = facts_of(sample.facts)
        changed = facts != series.facts or sample.in_flight != (series.in_flight or {})
        if not (changed or sample.calls or sample.facts.cpu_delta_ns):
            return None
        before = series.facts if series.minute == minute else None
        calls, errors = (None, None)
        if sample.calls is not None:
            calls, errors = pack_calls(sample.calls, self._catalogue.number)
        in_flight = [n for name, count in sample.in_flight.items() for n in (self._catalogue.number(name, ""), count)]
        packed = Row(pack_facts(facts, before), sample.facts.cpu_delta_ns or 0, calls, errors, in_flight or None, 0)
        series.facts, series.minute, series.in_flight = facts, minute, sample.in_flight
        return ts, series.id, encode(packed)

    def _row_of_ended(self, sample: ProcessSample, ts: int) -> tuple[int, int, bytes]:
        series = self._catalogue.of(sample, ts, "ended")
        calls, errors = pack_calls(sample.ended, self._catalogue.number)
        return ts, series.id, encode(Row(None, 0, calls, errors, None, sample.lost))

    def _row_of_others(self, sample: ProcessSample, ts: int) -> tuple[int, int, bytes]:
        """What ended descendants did that were not the owner's: root's to see, whoever has the tree."""
        series = self._catalogue.of(msgspec.structs.replace(sample, owner=NOBODY), ts, "others")
        calls, errors = pack_calls(sample.others, self._catalogue.number)
        return ts, series.id, encode(Row(None, 0, calls, errors, None, 0))

    def _write_host(self, connection: sqlite3.Connection, ts: int, host: HostFacts) -> bool:
        found = connection.execute("insert or ignore into host values (?, ?)", (ts, msgspec.msgpack.encode(host)))
        return found.rowcount == 1

    def _note_step(self, connection: sqlite3.Connection, ts: int) -> None:
        back = (self._last_ms - ts) / 1000
        text = f"the clock was set back by {back:.1f} s; history goes on with the new time"
        self._write_event(
            connection, Happening(epoch_s=ts / 1000, kind="clock_set_back", text=text, data={"seconds": back})
        )

    def _write_event(self, connection: sqlite3.Connection, event: Happening) -> None:
        owner = event.owner
        connection.execute(
            "insert into event (ts, kind, text, pid, start_ticks, comm, labels, job, uid, gid, private, data)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                int(event.epoch_s * 1000),
                event.kind,
                event.text,
                event.pid,
                event.start_ticks,
                event.comm,
                msgspec.json.encode(event.labels).decode(),
                event.labels.get("job", ""),
                None if owner is None else owner.uid,
                None if owner is None else owner.gid,
                None if owner is None else owner.private,
                msgspec.json.encode(event.data).decode(),
            ),
        )
        if event.kind == "ended" and event.pid is not None and event.start_ticks is not None:
            status = event.data.get("exit_status")
            self._catalogue.end(
                event.pid,
                event.start_ticks,
                int(event.epoch_s * 1000),
                str(event.data.get("why", "exited")),
                status if isinstance(status, int) else None,
            )

    def _turn_minute(self, connection: sqlite3.Connection, minute: int, ts: int) -> None:
        self._minute = minute
        rollup.close_minutes(connection, minute * rollup.MINUTE_MS)
        self._catalogue.write_last()
        retention.expire(connection, ts, self.keep)
        cut = retention.cut(connection, self.keep)
        if cut is not None:
            self.cut_ms = cut
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(cut / 1000))
            text = f"the history has reached its size (store.max_bytes); what was before {when} is partly gone"
            self._write_event(connection, Happening(epoch_s=ts / 1000, kind="history_cut", text=text))
        retention.shrink(connection)

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            self.state = "closed"
            return
        with contextlib.suppress(sqlite3.Error):
            connection.execute("begin immediate")
            self._catalogue.write_last()
            connection.execute("update series set end = 'service_stopped' where end is null")
            close_alerts(connection)
            opening.mark_clean(connection)
            connection.execute("commit")
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        self.state = "closed"


def _weight(item: Item) -> int:
    """How much memory it holds, by what is in it."""
    if not isinstance(item, Tick):
        return 1
    return (
        1
        + len(item.processes)
        + sum(len(each.calls or ()) + len(each.ended) + len(each.others) for each in item.processes) // 2
    )
