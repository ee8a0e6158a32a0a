"""How long calls took, in the database: by minute and hour, job, program and owner, each with its histograms.

By program and not by process, so that a day can be read in a moment, however many processes there were.
"""

from __future__ import annotations

import fnmatch
import sqlite3
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from straced.model.durations import CallDurations, DurationBatch
from straced.store.rollup import HOUR_MS, MINUTE_MS

if TYPE_CHECKING:
    from straced.store.history import History

MOST_MINUTES_MS = HOUR_MS
"""A longer span is read by the hour."""
ByName = dict[str, CallDurations]
Program = tuple[str, str]
"""Job and program."""
_decoder = msgspec.msgpack.Decoder(ByName)


def add(connection: sqlite3.Connection, batch: DurationBatch) -> None:
    """Add a batch to its minute and hour."""
    ts = int(batch.epoch_s * 1000)
    for each in batch.programs:
        owner = each.owner
        for table, step in (("latency", MINUTE_MS), ("latency_hour", HOUR_MS)):
            key = (ts // step * step, owner.uid, owner.gid, int(owner.private), each.job, each.program)
            stored = connection.execute(
                f"select data from {table} where ts = ? and uid = ? and gid = ? and private = ? and job = ?"
                " and program = ?",
                key,
            ).fetchone()
            by_name = _merge({} if stored is None else unpack(stored[0]), each.by_name)
            data = zlib.compress(msgspec.msgpack.encode(by_name), 1)
            connection.execute(f"insert or replace into {table} values (?, ?, ?, ?, ?, ?, ?)", (*key, data))


def _merge(known: ByName, more: Mapping[str, CallDurations]) -> ByName:
    for name, made in more.items():
        known.setdefault(name, CallDurations(0, {})).add(made)
    return known


def unpack(data: bytes) -> ByName:
    """The calls of a row."""
    return _decoder.decode(zlib.decompress(data))


def table_for(start_ms: int, end_ms: int) -> tuple[str, int]:
    """The table that a span is read from, and its step in ms."""
    return ("latency", MINUTE_MS) if end_ms - start_ms <= MOST_MINUTES_MS else ("latency_hour", HOUR_MS)


def read(
    history: History,
    start_ms: int,
    end_ms: int,
    *,
    job: str | None = None,
    name: str | None = None,
    long: bool = False,
) -> dict[int, dict[tuple[str, str], ByName]]:
    """By step (its begin in ms), job and program: what those may see who ask.

    Args:
        history: the database, for one who asks.
        start_ms, end_ms: the span; it begins with the minute, or the hour where it is long.
        job: of this job alone.
        name: of programs of this name, a glob, alone.
        long: by the hour, however short it is.
    """
    table, step = ("latency_hour", HOUR_MS) if long else table_for(start_ms, end_ms)
    if history.connection.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone() is None:
        return {}  # of an earlier version, and no service has opened it since
    theirs, who = history.theirs()
    found: dict[int, dict[tuple[str, str], ByName]] = {}
    rows = history.connection.execute(
        f"select ts, uid, gid, private, job, program, data from {table} where ts >= ? and ts < ? and {theirs}",
        (start_ms // step * step, end_ms, *who),
    )
    for ts, uid, gid, private, of_job, program, data in rows:
        if not history.may_see(uid, gid, private) or job not in (None, of_job):
            continue
        if name is not None and not fnmatch.fnmatchcase(program, name):
            continue
        programs, made = found.setdefault(ts, {}), unpack(data)
        known = programs.setdefault((of_job, program), made)
        if known is not made:  # of another owner
            _merge(known, made)
    return found
