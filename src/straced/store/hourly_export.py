"""History in a directory that many hosts share: ``TABLE/date=2026-11-29/host=web-1/08.parquet``, a file an hour (UTC).

Each file appears whole, and that of the table ``hours`` last: where it stands, the hour is complete. Who is killed in
between leaves no half file, and the next one begins the hour anew.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from straced._version import __version__
from straced.config.schema import HOST
from straced.errors import InvalidArgument
from straced.linux import procfs
from straced.linux.output_file import OutputFile
from straced.store import database, parquet
from straced.store.history import History
from straced.store.retention_clock import DeletionClock
from straced.store.rollup import HOUR_MS
from straced.store.tables import TABLES, rows

HOURS = "hours"
HOURS_COLUMNS = {
    "time": "DOUBLE", "version": "VARCHAR", "minutes": "BIGINT", "processes": "BIGINT", "samples": "BIGINT",
    "calls": "BIGINT", "errors": "BIGINT", "lost": "BIGINT", "uncounted": "BIGINT", "events": "BIGINT",
    "gaps_s": "DOUBLE",
}  # fmt: skip
GRACE_S = 120.0
"""After the end of an hour, until its last minute is closed."""
LOOKED_AT_AGAIN = 24
"""Hours: the clock may have been set back into one of them."""
_DATED = ("minute", "host", "event")
_PARTIAL = re.compile(r"\.straced-(\d+)-[0-9a-f]+\.partial")
_DATE = re.compile(r"date=(\d{4}-\d\d-\d\d)")
_HOUR = re.compile(r"\d\d\.parquet")


class HoursWritten(Struct):
    """What a run did."""

    hours: list[float]
    """Those that were written, by their begin."""
    files: int = 0
    bytes: int = 0
    removed: int = 0
    """Files that were too old."""
    waiting: int | None = None
    """Hours that are over and not written yet; ``None``: it did not come to that."""


def check_host(name: str) -> str:
    """A host's name as part of a path.

    Raises:
        InvalidArgument: it cannot be that.
    """
    if not HOST.fullmatch(name):
        raise InvalidArgument(f"{name!r} is no name of a host", hint="letters, digits, '.', '_' and '-', at most 253")
    return name


def own_host() -> str:
    """The name of this host, as far as it can stand in a path."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", os.uname().nodename).lstrip(".-") or "unnamed"


def file_of(folder: Path, table: str, host: str, hour_s: float) -> Path:
    """Where an hour of a table of a host is."""
    when = time.gmtime(hour_s)
    return folder / table / time.strftime("date=%Y-%m-%d", when) / f"host={host}" / time.strftime("%H.parquet", when)


class HourlyExport:
    """Writes the closed hours of a history that are not in the directory yet.

    Args:
        history: the database.
        folder: the directory; made where it is missing, for its owner alone.
        host: under which name.
        keep_ns: what is older is removed; 0: nothing is.
    """

    def __init__(self, history: History, folder: Path, host: str, keep_ns: int = 0) -> None:
        self._history = history
        self._folder = folder
        self._host = check_host(host)
        self._keep_ns = keep_ns
        self.done = HoursWritten([])
        """What the last run did, also where it failed."""

    def run(self, now_s: float | None = None) -> HoursWritten:
        """Write what is due, and remove what is too old.

        Raises:
            NoDuckDB: Parquet cannot be written here.
            OutputError: the directory cannot be used, or is full; whole files are all that is there.
        """
        now_s = time.time() if now_s is None else now_s
        done = self.done = HoursWritten([])
        oldest_s = self._oldest_s(now_s)
        with parquet.engine() as engine:
            over = [hour for hour in self._over(now_s) if hour + 3600 > oldest_s]
            closed_s = self._closed_s()
            closed = [hour for hour in over if hour + 3600 <= closed_s]
            again = set(closed[-LOOKED_AT_AGAIN:])
            due = [hour for hour in closed if self._is_due(engine, hour, again=hour in again)]
            done.waiting = len(over) - len(closed) + len(due)
            for hour in due:
                self._write(engine, hour, done)
                done.waiting -= 1
        self._tidy(oldest_s, done)
        return done

    def _oldest_s(self, now_s: float) -> float:
        """From when on anything is kept, by a clock that is not believed when it has leapt."""
        if not self._keep_ns:
            return 0.0
        clock = DeletionClock(procfs.boot_id(), database.kept(self._history.connection, "clock"))
        return clock.now_ms(int(now_s * 1000)) / 1000 - self._keep_ns / 1e9

    def _closed_s(self) -> float:
        """Until when all minutes are closed: the service does that with its first sample of the next one."""
        (open_ms,) = self._history.connection.execute("select min(ts) from sample").fetchone()
        return math.inf if open_ms is None else open_ms / 1000

    def _over(self, now_s: float) -> list[float]:
        """The begins of all hours that are over, and of which anything is known."""
        ask = self._history.connection.execute
        end_ms = int((now_s - GRACE_S) * 1000)
        found: list[float] = []
        start = 0
        while True:  # from one to the next: a clock that once stood at 1970 has made a gap of half a million hours
            rows = [ask(f"select min(ts) from {table} where ts >= ?", (start,)).fetchone()[0] for table in _DATED]
            known = [ts for ts in rows if ts is not None]
            start = min(known, default=end_ms) // HOUR_MS * HOUR_MS
            if start + HOUR_MS > end_ms:
                return found
            found.append(start / 1000)
            start += HOUR_MS

    def _facts(self, hour: float) -> dict[str, Any]:
        start = int(hour * 1000)
        span = (start, start + HOUR_MS)
        ask = self._history.connection.execute
        (minutes,) = ask("select count(distinct ts / 60000) from host where ts >= ? and ts < ?", span).fetchone()
        processes, samples, calls, errors, uncounted = ask(
            "select count(distinct series), coalesce(sum(samples), 0), coalesce(sum(calls), 0),"
            " coalesce(sum(errors), 0), count(distinct series) filter (where calls is null)"
            " from minute where ts >= ? and ts < ?",
            span,
        ).fetchone()
        lost: int | None = 0
        for row in rows(self._history, "minutes", hour, hour + 3600):
            lost = None if lost is None or row["lost"] is None else lost + row["lost"]
        (events,) = ask("select count(*) from event where ts >= ? and ts < ?", span).fetchone()
        return {
            "time": hour,
            "version": __version__,
            "minutes": minutes,
            "processes": processes,
            "samples": samples,
            "calls": calls,
            "errors": errors,
            "lost": lost,
            "uncounted": uncounted,
            "events": events,
            "gaps_s": self._history.gaps_s(*span),
        }

    def _is_due(self, engine: Any, hour: float, *, again: bool) -> bool:
        """Whether an hour is missing, or more is known of it than was written."""
        import duckdb

        mark = file_of(self._folder, HOURS, self._host, hour)
        if not mark.exists():
            return True
        if not again:
            return False
        try:
            known = engine.execute("select samples, events from read_parquet(?)", [str(mark)]).fetchone()
        except duckdb.Error:
            return True  # damaged
        start = int(hour * 1000)
        ask = self._history.connection.execute
        (samples,) = ask("select coalesce(sum(samples), 0) from hour where ts = ?", (start,)).fetchone()
        (events,) = ask("select count(*) from event where ts >= ? and ts < ?", (start, start + HOUR_MS)).fetchone()
        return known is None or samples > known[0] or events > known[1]

    def _write(self, engine: Any, hour: float, done: HoursWritten) -> None:
        with self._history.at_once():
            facts = self._facts(hour)
            for name, table in TABLES.items():
                self._write_table(engine, name, table.columns, rows(self._history, name, hour, hour + 3600), hour, done)
        self._write_table(engine, HOURS, HOURS_COLUMNS, iter([facts]), hour, done)
        done.hours.append(hour)

    def _write_table(
        self, engine: Any, name: str, columns: dict[str, str], made: Iterator[dict[str, Any]], hour: float,
        done: HoursWritten,
    ) -> None:  # fmt: skip
        path = file_of(self._folder, name, self._host, hour)
        with OutputFile(path, overwrite=True, make_directories=True) as file:
            parquet.write(engine, file, columns, made)
            done.bytes += os.fstat(file.fd).st_size
        done.files += 1

    def _tidy(self, oldest_s: float, done: HoursWritten) -> None:
        """Remove what of this host is too old, and what a killed run has left; of nobody else, and nothing else."""
        oldest = time.strftime("%Y-%m-%d", time.gmtime(oldest_s))
        for table in (HOURS, *TABLES):
            for date in _listed(self._folder / table):
                found = _DATE.fullmatch(date.name)
                if found is None:
                    continue
                too_old = self._keep_ns > 0 and found[1] < oldest
                for path in _listed(date / f"host={self._host}"):
                    partial = _PARTIAL.fullmatch(path.name)
                    if partial and not os.path.exists(f"/proc/{partial[1]}"):
                        path.unlink(missing_ok=True)
                    elif too_old and _HOUR.fullmatch(path.name):
                        path.unlink(missing_ok=True)
                        done.removed += 1
                if too_old:
                    for empty in (date / f"host={self._host}", date):
                        with contextlib.suppress(OSError):  # others have theirs there
                            empty.rmdir()


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
