"""What happened, as rows of an open database: samples, events, alerts, and once a minute what follows from them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator

import msgspec

from straced.config import schema
from straced.linux import procfs
from straced.model.alerts import AlertRow
from straced.model.durations import DurationBatch
from straced.model.facts import HostFacts
from straced.model.owner import NOBODY, Owner
from straced.model.tick import ProcessSample, ServiceEvent, Tick, by_program
from straced.store import database, latency, retention, rollup
from straced.store.alerts import write_alert
from straced.store.packing import PackedRow, encode, facts_of, pack_calls, pack_facts
from straced.store.queue import SERVICE, Item, Key, LearntRows, LostCalls
from straced.store.retention_clock import DeletionClock
from straced.store.series import Catalogue

GONE = "X"


class Recorder:
    """Writes into one database, within transactions of its owner.

    Args:
        connection: of the database.
        keep: asked for sizes and ages.
        rest: called between the pieces of long work.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        keep: Callable[[], schema.StoreConfig],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._rest = rest
        self.catalogue = Catalogue(connection, procfs.boot_id())
        self._clock = DeletionClock(procfs.boot_id(), database.kept(connection, "clock"))
        self.last_ms: int = connection.execute("select coalesce(max(ts), 0) from host").fetchone()[0]
        """When the last sample was taken."""
        self._minute = -1

    def write(self, item: Item, lost: dict[Key, LostCalls]) -> None:
        """Write an item; of ``lost`` is taken what could be said of processes on this occasion."""
        connection = self._connection
        if isinstance(item, Tick):
            self._write_tick(connection, item, lost)
        elif isinstance(item, ServiceEvent):
            self.write_event(item)
        elif isinstance(item, AlertRow):
            write_alert(connection, item)
        elif isinstance(item, DurationBatch):
            latency.add(connection, item)
        elif isinstance(item, LearntRows):
            when = int(item.epoch_s * 1000)
            rows = [(program, kind, what, when) for program, kind, what in item.rows]
            connection.executemany("insert or ignore into known values (?, ?, ?, ?)", rows)

    def _write_tick(self, connection: sqlite3.Connection, tick: Tick, lost_of: dict[Key, LostCalls]) -> None:
        ts = int(tick.epoch_s * 1000)
        while not self._write_host(connection, ts, tick.host):
            ts += 1  # the clock was stepped back onto a moment that has a row
        if ts < self.last_ms:
            self._note_step(ts)
        self.last_ms = ts
        minute = ts // rollup.MINUTE_MS
        if minute != self._minute:
            self._turn_minute(connection, minute, ts)
        rows = []
        for sample in tick.processes:
            lost = lost_of.pop(sample.facts.key, None) if lost_of else None
            row = self._row(sample, ts, minute, 0 if lost is None else lost.calls)
            if row is not None:
                rows.append(row)
            if sample.ended or sample.lost != 0:
                rows += self._rows_of_ended(sample, ts)
            if sample.others:
                rows += self._rows_of_others(sample, ts)
        while lost_of:
            _key, gone = lost_of.popitem()
            series = self.catalogue.of(gone.sample, ts)
            rows.append((ts, series.id, encode(PackedRow(None, 0, [], None, None, gone.calls))))
        connection.executemany("insert or replace into sample (ts, series, data) values (?, ?, ?)", rows)

    def _row(self, sample: ProcessSample, ts: int, minute: int, lost: int | None = 0) -> tuple[int, int, bytes] | None:
        if sample.facts.state == GONE and not sample.calls and lost == 0:
            return None
        series = self.catalogue.of(sample, ts)
        facts = facts_of(sample.facts)
        changed = facts != series.facts or sample.in_flight != (series.in_flight or {})
        if not (changed or sample.calls or sample.facts.cpu_delta_ns or lost != 0):
            return None
        before = series.facts if series.minute == minute else None
        calls, errors = (None, None)
        if sample.calls is not None:
            calls, errors = pack_calls(sample.calls, self.catalogue.number)
        in_flight = [n for name, count in sample.in_flight.items() for n in (self.catalogue.number(name, ""), count)]
        packed = PackedRow(
            pack_facts(facts, before), sample.facts.cpu_delta_ns or 0, calls, errors, in_flight or None, lost
        )
        series.facts, series.minute, series.in_flight = facts, minute, sample.in_flight
        return ts, series.id, encode(packed)

    def _rows_of_ended(self, sample: ProcessSample, ts: int) -> Iterator[tuple[int, int, bytes]]:
        """A row for each program; what was lost stands at the tree, whose program is not that of what was lost."""
        programs = by_program(sample.ended)
        if sample.lost != 0:
            programs.setdefault("", [])
        for program, made in programs.items():
            series = self.catalogue.of(sample, ts, "program" if program else "ended", program)
            calls, errors = pack_calls(made, self.catalogue.number)
            lost = 0 if program else sample.lost
            yield ts, series.id, encode(PackedRow(None, 0, calls, errors, None, lost))

    def _rows_of_others(self, sample: ProcessSample, ts: int) -> Iterator[tuple[int, int, bytes]]:
        """What ended descendants did that were not the owner's: root's to see, whoever has the tree."""
        hidden = msgspec.structs.replace(sample, owner=NOBODY)
        for program, made in by_program(sample.others).items():
            series = self.catalogue.of(hidden, ts, "others", program)
            calls, errors = pack_calls(made, self.catalogue.number)
            yield ts, series.id, encode(PackedRow(None, 0, calls, errors, None, 0))

    def _write_host(self, connection: sqlite3.Connection, ts: int, host: HostFacts) -> bool:
        found = connection.execute("insert or ignore into host values (?, ?)", (ts, msgspec.msgpack.encode(host)))
        return found.rowcount == 1

    def _note_step(self, ts: int) -> None:
        back = (self.last_ms - ts) / 1000
        text = f"the clock was set back by {back:.1f} s; history goes on with the new time"
        self.write_event(ServiceEvent(epoch_s=ts / 1000, kind="clock_set_back", text=text, data={"seconds": back}))

    def write_event(self, event: ServiceEvent) -> None:
        """Write an event; one of an end ends the series of its process, too."""
        owner = event.owner
        self._connection.execute(
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
            self.catalogue.end(
                event.pid,
                event.start_ticks,
                int(event.epoch_s * 1000),
                str(event.data.get("why", "exited")),
                status if isinstance(status, int) else None,
            )

    def _turn_minute(self, connection: sqlite3.Connection, minute: int, ts: int) -> None:
        self._minute = minute
        rollup.close_minutes(connection, minute * rollup.MINUTE_MS, self._rest)
        self.catalogue.write_last()
        self.catalogue.close_unseen(ts)
        retention.expire(connection, self._clock.now_ms(ts), self._keep())
        if self._clock.note is not None:
            self.write_event(ServiceEvent(epoch_s=ts / 1000, kind="clock_leapt", text=self._clock.note))
            self._clock.note = None
        connection.execute("insert or replace into meta values ('clock', ?)", (self._clock.keep(),))
        for cut in retention.cut(connection, self._keep()):
            self._say_cut(connection, cut, ts)
        retention.shrink(connection)

    def _say_cut(self, connection: sqlite3.Connection, cut: retention.DroppedHistory, ts: int) -> None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(cut.until_ms / 1000))
        text = f"the history has reached its size (store.max_bytes); what was before {when} is partly gone"
        owner = None
        if cut.uid != SERVICE:
            gid = connection.execute("select gid from series where uid = ? limit 1", (cut.uid,)).fetchone()
            owner = Owner(cut.uid, gid[0] if gid is not None else cut.uid, False)
            text += f": that of user {cut.uid}, who has most"
        self.write_event(ServiceEvent(epoch_s=ts / 1000, kind="history_cut", text=text, owner=owner))
