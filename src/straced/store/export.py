"""History as files for other tools, once: a table a file, NDJSON by itself, Parquet by DuckDB."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from straced.errors import OutputExists
from straced.linux.output_file import OutputFile
from straced.linux.output_refusals import directory_of, refused
from straced.store import parquet as parquet_files
from straced.store.history import History
from straced.store.tables import TABLES, rows


def export(history: History, folder: Path, since: float, *, parquet: bool, say: Callable[[str], None]) -> None:
    """Write each table into a file of its own in a new directory, or one that has none of them.

    Raises:
        OutputExists, OutputError: the directory cannot be used; what is there is left.
        NoDuckDB: Parquet cannot be written here.
    """
    suffix = "parquet" if parquet else "ndjson"
    with parquet_files.engine() if parquet else contextlib.nullcontext() as database:
        _make(folder)
        for name in TABLES:
            if (folder / f"{name}.{suffix}").exists():
                raise OutputExists(f"{folder / name}.{suffix} is there already", hint="choose a new directory")
        for name, table in TABLES.items():
            with OutputFile(folder / f"{name}.{suffix}") as file:
                if database is None:
                    count = parquet_files.write_lines(file.binary, rows(history, name, since))
                else:
                    count = parquet_files.write(database, file, table.columns, rows(history, name, since))
            say(f"{count:,} {name}")


def _make(folder: Path) -> None:
    above = directory_of(folder, what="made")
    try:
        with contextlib.suppress(FileExistsError):  # what else has that name shows when files are made in it
            os.mkdir(folder.name, 0o700, dir_fd=above.fd)
    except OSError as error:
        raise refused(folder, error, "made") from error
    finally:
        above.close()
