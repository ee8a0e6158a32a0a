"""Exported files as tables that can be asked: what is damaged or not ours is left out, and that is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from straced.store import parquet
from straced.store.fleet.files import ExportedFile, ExportedFiles
from straced.store.fleet.listing import BucketListing, DirectoryListing, is_bucket, unreadable
from straced.store.hourly_export import HOURS, HOURS_COLUMNS
from straced.store.tables import TABLES
from straced.text.sanitize import scrub

Span = tuple[str, float, float]
"""A table, and the span of which its files are read."""


class FleetDataset:
    """What many hosts have exported.

    Args:
        engine: DuckDB.
        found: the files.
        say: told of what is left out.
    """

    def __init__(self, engine: Any, found: ExportedFiles, say: Callable[[str], None]) -> None:
        self.files = found
        self.say = say
        self._engine = engine
        self._bad: set[str] = set()

    def ask(self, query: str, values: Sequence[object], *tables: Span) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Args:
            query: with ``{0}``, ``{1}``, ... where its tables stand.
            values: for its question marks.
            tables: that it is about.

        Raises:
            InvalidArgument, BucketUnreachable: they cannot be read.
        """
        import duckdb

        while True:
            chosen = [[each for each in self.files.of(*table) if each.path not in self._bad] for table in tables]
            sources = [_source(name, each) for (name, _start, _end), each in zip(tables, chosen, strict=True)]
            try:
                return list(self._engine.execute(query.format(*sources), list(values)).fetchall())
            except duckdb.Error as error:
                if not self._leave_out([each for part in chosen for each in part]):
                    raise unreadable(self.files.folder, error) from error

    def _leave_out(self, suspects: Sequence[ExportedFile]) -> bool:
        """Find those that cannot be read, one by one; returns whether there are any."""
        import duckdb

        found = False
        for each in suspects:
            wanted = ", ".join(f'"{name}"' for name in _columns(each.table))
            try:
                query = f"select sum(hash({wanted}) % 2) from {_source(each.table, [each])}"
                self._engine.execute(query).fetchall()
            except duckdb.Error as error:
                found = True
                self._bad.add(each.path)
                self.say(f"left out: {scrub(each.path, 200)} {_what_is_wrong(error)}")
        return found


def _columns(table: str) -> dict[str, str]:
    return HOURS_COLUMNS if table == HOURS else TABLES[table].columns


def _source(table: str, chosen: Sequence[ExportedFile]) -> str:
    if not chosen:
        none = ", ".join(f'null::{kind} as "{name}"' for name, kind in _columns(table).items())
        return f"(select {none}, null::varchar as host where false)"
    paths = ", ".join("'" + each.path.replace("'", "''") + "'" for each in chosen)
    return f"read_parquet([{paths}], hive_partitioning = true, hive_types = {{'host': varchar, 'date': varchar}})"


def _what_is_wrong(error: Exception) -> str:
    text = str(error)
    if any(word in text.lower() for word in ("magic bytes", "too small", "footer", "not a parquet")):
        return "is cut off, or no Parquet file"
    if type(error).__name__ in ("BinderException", "InvalidInputException"):
        return "holds something else"
    return f"cannot be read: {scrub(text.splitlines()[0], 100)}"


@contextmanager
def opened(folder: str, hosts: str | None, say: Callable[[str], None]) -> Iterator[FleetDataset]:
    """What hosts have exported into a directory, or a bucket (``s3://...``) where DuckDB has its extension for that.

    Args:
        folder: where.
        hosts: which hosts; a glob.
        say: told of what is left out.

    Raises:
        InvalidArgument: there is no such directory, or nothing of such hosts in it.
        BucketUnreachable: there is no such bucket, or no way to it.
        NoDuckDB: it is not installed.
    """
    bucket = is_bucket(folder)
    with parquet.engine(extensions=bucket) as engine:
        listing = BucketListing(engine, folder) if bucket else DirectoryListing(folder)
        yield FleetDataset(engine, ExportedFiles(listing, hosts), say)
