"""Rows into a Parquet file, by DuckDB: 69 MB, where pyarrow is 171, and it reads the files again, too.

It is imported where a file is made or read, and never by the service: that has a worker do it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from straced.errors import OutputError, StracedError
from straced.linux.output_file import OutputFile
from straced.text.sanitize import scrub

MEMORY = "200MB"


class NoDuckDB(StracedError):
    """Parquet is written and read by DuckDB, which is not installed."""

    exit_code = 5
    code = "no_duckdb"


@contextmanager
def engine(*, extensions: bool = False) -> Iterator[Any]:
    """DuckDB, in memory; it fetches nothing from elsewhere.

    Args:
        extensions: those that are installed may be loaded.

    Raises:
        NoDuckDB: it is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise NoDuckDB(
            "Parquet needs DuckDB, which is not installed", hint="pip install 'straced[analytics]', or --ndjson DIR"
        ) from error
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": str(extensions).lower(),
    }
    with duckdb.connect(":memory:", config=config) as made:
        yield made


def write_lines(stream: BinaryIO, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as lines of JSON; returns how many."""
    encode = msgspec.json.Encoder().encode
    count = 0
    for row in rows:
        stream.write(encode(row) + b"\n")
        count += 1
    stream.flush()
    return count


def write(database: Any, file: OutputFile, columns: Mapping[str, str], rows: Iterable[dict[str, Any]]) -> int:
    """Write rows into an open file; returns how many.

    DuckDB reads and writes what is open already: a name could be exchanged under it, and it would follow links.

    Args:
        database: of :func:`engine`.
        file: not committed yet.
        columns: their names and types.
        rows: a value for each column.

    Raises:
        OutputError: there is no room, say.
    """
    import duckdb

    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    try:
        with tempfile.TemporaryFile(dir=file.path.parent) as plain:
            count = write_lines(plain, rows)
            source = f"read_json('/proc/self/fd/{plain.fileno()}', format = 'newline_delimited', columns = {{{types}}})"
            names = ", ".join(f'"{name}"' for name in columns)
            database.execute(
                f"copy (select {names} from {source}) to '/proc/self/fd/{file.fd}'"
                " (format parquet, compression zstd, use_tmp_file false)"
            )
        os.fsync(file.fd)
    except (OSError, duckdb.Error) as error:
        raise OutputError(f"{scrub(str(file.path))} cannot be written: {scrub(str(error), 200)}") from error
    return count
