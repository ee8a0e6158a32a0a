"""History as tables, each with fixed columns and types: a file without rows has the columns of all others.

Every row says by itself of what program, job and user it is, so that a question needs no join. Times are seconds
since the epoch; what is not known is null.
"""

from __future__ import annotations

import errno as errno_module
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from straced.model import histogram
from straced.store import latency
from straced.store.history import LAST_MS, History
from straced.store.rollup import rolled_of

Row = dict[str, Any]
FOREVER_MS = 2**62
_WHO = {"pid": "BIGINT", "start_ticks": "BIGINT", "kind": "VARCHAR", "comm": "VARCHAR", "program": "VARCHAR",
        "job": "VARCHAR", "uid": "BIGINT", "gid": "BIGINT"}  # fmt: skip
_OF_SERIES = "s.pid, s.start_ticks, s.kind, s.comm, s.program, s.job, s.uid, s.gid, s.private"


class ExportedTable(Struct, frozen=True):
    """A table: its columns with their types, in DuckDB's names, and what reads its rows of a span (in ms)."""

    columns: dict[str, str]
    rows: Callable[[History, int, int], Iterator[Row]]


def rows(history: History, table: str, since: float, until: float | None = None) -> Iterator[Row]:
    """The rows of a table, as far as those may see them who ask.

    Args:
        history: the database.
        table: a name of ``TABLES``.
        since, until: the span, in seconds since the epoch.
    """
    end_ms = FOREVER_MS if until is None else int(until * 1000)
    return TABLES[table].rows(history, int(since * 1000), end_ms)


def _select(history: History, query: str, values: tuple[object, ...]) -> Iterator[Row]:
    """The rows of a query, with all its columns but ``private``."""
    cursor = history.connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    for found in cursor:
        row = dict(zip(names, found, strict=True))
        if history.may_see(row.get("uid"), row.get("gid"), row.pop("private", None)):
            yield row


def _processes(history: History, start: int, end: int) -> Iterator[Row]:
    yield from _select(
        history,
        "select id as series, boot_id, pid, start_ticks, kind, comm, program, job, uid, gid, private, cmdline, labels,"
        " first_ms / 1000.0 as first, last_ms / 1000.0 as last, end, exit_status from series"
        " where (last_ms >= ? or (end is null and last_ms >= ?)) and first_ms < ? order by id",
        (start, start - LAST_MS, end),
    )


def _minutes(history: History, start: int, end: int) -> Iterator[Row]:
    found = _select(
        history,
        f"select m.series, m.ts / 1000.0 as time, {_OF_SERIES}, m.samples, m.calls, m.errors, m.wall_ns,"
        " m.waiting_ns, m.cpu_ns, m.rss_max, m.rss_mean, m.fds_max, m.threads_max, m.data from minute m"
        " join series s on s.id = m.series where m.ts >= ? and m.ts < ? order by m.ts, m.series",
        (start, end),
    )
    for row in found:
        row["lost"] = rolled_of(row.pop("data")).lost
        yield row


def _calls(history: History, start: int, end: int) -> Iterator[Row]:
    names = _names(history)
    for row, data in _with_data(history, start, end, "calls"):
        flat = rolled_of(data).calls or []
        for i in range(0, len(flat), 5):
            number, calls, errors, wall, waiting = flat[i : i + 5]
            name, abi = names.get(number or 0, (f"syscall#{number}", ""))
            yield row | {
                "syscall": name,
                "abi": abi,
                "calls": calls,
                "errors": errors,
                "wall_ns": wall,
                "waiting_ns": waiting,
            }


def _failures(history: History, start: int, end: int) -> Iterator[Row]:
    names = _names(history)
    for row, data in _with_data(history, start, end, "errors"):
        flat = rolled_of(data).errno or []
        for i in range(0, len(flat), 3):
            number, code, errors = flat[i : i + 3]
            name, abi = names.get(int(number), (f"syscall#{number}", ""))
            word = errno_module.errorcode.get(code, str(code)) if isinstance(code, int) else code
            yield row | {"syscall": name, "abi": abi, "errno": word, "errors": errors}


def _names(history: History) -> dict[int, tuple[str, str]]:
    return {number: (name, abi) for number, name, abi in history.connection.execute("select id, name, abi from names")}


def _with_data(history: History, start: int, end: int, figure: str) -> Iterator[tuple[Row, bytes]]:
    found = _select(
        history,
        f"select m.series, m.ts / 1000.0 as time, {_OF_SERIES}, m.data from minute m join series s on s.id = m.series"
        f" where m.ts >= ? and m.ts < ? and coalesce(m.{figure}, 1) > 0 order by m.ts, m.series",
        (start, end),
    )
    for row in found:
        yield row, row.pop("data")


def _latency(history: History, start: int, end: int) -> Iterator[Row]:
    found = _select(
        history,
        "select ts / 1000.0 as time, job, program, uid, gid, private, data from latency where ts >= ? and ts < ?",
        (start, end),
    )
    for row in found:
        for name, made in latency.unpack(row.pop("data")).items():
            for bucket, calls in sorted(made.buckets.items()):
                lower, upper = histogram.bounds(bucket)
                slowest = made.slowest_ns or None
                yield row | {
                    "syscall": name,
                    "bucket": bucket,
                    "from_ns": lower,
                    "upto_ns": upper,
                    "calls": calls,
                    "slowest_ns": slowest,
                }


def _events(history: History, start: int, end: int) -> Iterator[Row]:
    yield from _select(
        history,
        "select id, ts / 1000.0 as time, kind, text, pid, comm, job, labels, data, uid, gid, private from event"
        " where ts >= ? and ts < ? order by id",
        (start, end),
    )


def _alerts(history: History, start: int, end: int) -> Iterator[Row]:
    """Those that were open in the span, as they stand now."""
    yield from _select(
        history,
        "select id, kind, subject, text, opened_ms / 1000.0 as opened, updated_ms / 1000.0 as updated,"
        " closed_ms / 1000.0 as closed, pid, comm, job, data, uid, gid, private from alert"
        " where coalesce(closed_ms, updated_ms) >= ? and opened_ms < ? order by opened_ms",
        (start, end),
    )


_AT = {"series": "BIGINT", "time": "DOUBLE", **_WHO}
_USER = {"uid": "BIGINT", "gid": "BIGINT"}
TABLES = {
    "processes": ExportedTable(
        {"series": "BIGINT", "boot_id": "VARCHAR", **_WHO, "cmdline": "VARCHAR", "labels": "VARCHAR",
         "first": "DOUBLE", "last": "DOUBLE", "end": "VARCHAR", "exit_status": "BIGINT"},
        _processes,
    ),
    "minutes": ExportedTable(
        {**_AT, "samples": "BIGINT", "calls": "BIGINT", "errors": "BIGINT", "wall_ns": "BIGINT",
         "waiting_ns": "BIGINT", "cpu_ns": "BIGINT", "rss_max": "BIGINT", "rss_mean": "BIGINT", "fds_max": "BIGINT",
         "threads_max": "BIGINT", "lost": "BIGINT"},
        _minutes,
    ),
    "calls": ExportedTable(
        {**_AT, "syscall": "VARCHAR", "abi": "VARCHAR", "calls": "BIGINT", "errors": "BIGINT", "wall_ns": "BIGINT",
         "waiting_ns": "BIGINT"},
        _calls,
    ),
    "failures": ExportedTable(
        {**_AT, "syscall": "VARCHAR", "abi": "VARCHAR", "errno": "VARCHAR", "errors": "BIGINT"}, _failures
    ),
    "latency": ExportedTable(
        {"time": "DOUBLE", "job": "VARCHAR", "program": "VARCHAR", **_USER, "syscall": "VARCHAR", "bucket": "BIGINT",
         "from_ns": "BIGINT", "upto_ns": "BIGINT", "calls": "BIGINT", "slowest_ns": "BIGINT"},
        _latency,
    ),
    "events": ExportedTable(
        {"id": "BIGINT", "time": "DOUBLE", "kind": "VARCHAR", "text": "VARCHAR", "pid": "BIGINT", "comm": "VARCHAR",
         "job": "VARCHAR", "labels": "VARCHAR", "data": "VARCHAR", **_USER},
        _events,
    ),
    "alerts": ExportedTable(
        {"id": "VARCHAR", "kind": "VARCHAR", "subject": "VARCHAR", "text": "VARCHAR", "opened": "DOUBLE",
         "updated": "DOUBLE", "closed": "DOUBLE", "pid": "BIGINT", "comm": "VARCHAR", "job": "VARCHAR",
         "data": "VARCHAR", **_USER},
        _alerts,
    ),
}  # fmt: skip
