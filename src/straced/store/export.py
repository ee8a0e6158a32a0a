"""History as tables for other tools: NDJSON by itself, Parquet by DuckDB where that is installed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from straced.errors import OutputError, OutputExists, StracedError
from straced.linux.output_file import OutputFile
from straced.linux.output_refusals import directory_of, refused
from straced.store.history import History
from straced.text.sanitize import scrub

TABLES = ("processes", "minutes", "calls", "events", "alerts")
_QUERIES = {
    "processes": (
        "select id as series, kind, boot_id, pid, start_ticks, comm, program, cmdline, uid, gid, labels, job,"
        " first_ms / 1000.0 as first, last_ms / 1000.0 as last, end, exit_status, private from series"
        " where last_ms >= ? order by id"
    ),
    "minutes": (
        "select m.series, m.ts / 1000.0 as time, s.pid, s.comm, s.job, m.samples, m.calls, m.errors, m.wall_ns,"
        " m.waiting_ns, m.cpu_ns, m.rss_max, m.rss_mean, m.fds_max, m.threads_max, s.uid, s.gid, s.private"
        " from minute m join series s on s.id = m.series where m.ts >= ? order by m.ts, m.series"
    ),
    "events": (
        "select id, ts / 1000.0 as time, kind, text, pid, comm, job, labels, data, uid, gid, private from event"
        " where ts >= ? order by id"
    ),
    "alerts": (
        "select id, kind, subject, text, opened_ms / 1000.0 as opened, closed_ms / 1000.0 as closed, pid, comm, job,"
        " data, uid, gid, private from alert where opened_ms >= ? order by opened_ms"
    ),
}


class NoDuckDB(StracedError):
    """Parquet is written by DuckDB, which is not installed."""

    exit_code = 5
    code = "no_duckdb"


def rows(history: History, table: str, since: float) -> Iterator[dict[str, Any]]:
    """The rows of a table, as far as one may see them; ``calls`` has a row a process, minute and call."""
    if table == "calls":
        yield from _calls(history, since)
        return
    cursor = history.connection.execute(_QUERIES[table], (int(since * 1000),))
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        if history.may_see(row.get("uid"), row.get("gid"), row.get("private")):
            row.pop("private", None)
            yield row


def _calls(history: History, since: float) -> Iterator[dict[str, Any]]:
    from straced.store.rollup import rolled_of

    names = {number: (name, abi) for number, name, abi in history.connection.execute("select id, name, abi from names")}
    cursor = history.connection.execute(
        "select m.series, m.ts, m.data, s.pid, s.comm, s.job, s.uid, s.gid, s.private from minute m"
        " join series s on s.id = m.series where m.ts >= ? order by m.ts, m.series",
        (int(since * 1000),),
    )
    for series, ts, data, pid, comm, job, uid, gid, private in cursor:
        flat = rolled_of(data).calls
        if not flat or not history.may_see(uid, gid, private):
            continue
        for i in range(0, len(flat), 5):
            number, calls, errors, wall, waiting = flat[i : i + 5]
            name, abi = names.get(number or 0, (str(number), ""))
            yield {
                "series": series,
                "time": ts / 1000,
                "pid": pid,
                "comm": comm,
                "job": job,
                "syscall": name,
                "abi": abi,
                "calls": calls,
                "errors": errors,
                "wall_ns": wall,
                "waiting_ns": waiting,
            }


def export(history: History, folder: Path, since: float, *, parquet: bool, say: Callable[[str], None]) -> None:
    """Write each table into a file of its own in a new directory, or one that has none of them.

    Raises:
        OutputExists, OutputError: the directory cannot be used; what is there is left.
        NoDuckDB: Parquet cannot be written here.
    """
    suffix = "parquet" if parquet else "ndjson"
    database = _duckdb() if parquet else None
    _make(folder)
    for table in TABLES:
        if (folder / f"{table}.{suffix}").exists():
            raise OutputExists(f"{folder / table}.{suffix} is there already", hint="choose a new directory")
    for table in TABLES:
        with OutputFile(folder / f"{table}.{suffix}") as file:
            if database is None:
                count = _write_lines(file.binary, rows(history, table, since))
            else:
                count = _write_parquet(database, file, rows(history, table, since))
            if database is not None and not count:
                file.discard()  # no rows tell no columns
        say(f"{count:,} {table}")


def _make(folder: Path) -> None:
    above = directory_of(folder, what="made")
    try:
        with contextlib.suppress(FileExistsError):  # what else has that name shows when files are made in it
            os.mkdir(folder.name, 0o700, dir_fd=above.fd)
    except OSError as error:
        raise refused(folder, error, "made") from error
    finally:
        above.close()


def _write_lines(stream: BinaryIO, lines: Iterator[dict[str, Any]]) -> int:
    count = 0
    for row in lines:
        stream.write(msgspec.json.encode(row) + b"\n")
        count += 1
    stream.flush()
    return count


def _write_parquet(database: Any, file: OutputFile, lines: Iterator[dict[str, Any]]) -> int:
    """DuckDB reads and writes what is open already: a name could be exchanged under it, and it would follow links."""
    import duckdb

    try:
        with tempfile.TemporaryFile(dir=file.path.parent) as plain:
            count = _write_lines(plain, lines)
            if count:
                source = f"read_json('/proc/self/fd/{plain.fileno()}', format = 'newline_delimited', sample_size = -1)"
                database.execute(
                    f"copy (select * from {source}) to '/proc/self/fd/{file.fd}'"
                    " (format parquet, compression zstd, use_tmp_file false)"
                )
    except (OSError, duckdb.Error) as error:
        raise OutputError(f"{scrub(str(file.path))} cannot be written: {scrub(str(error), 200)}") from error
    return count


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise NoDuckDB(
            "Parquet is written by DuckDB, which is not installed",
            hint="pip install 'straced[analytics]', or --ndjson DIR",
        ) from error
    return duckdb.connect()
