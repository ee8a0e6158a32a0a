"""Calls as Parquet, partitioned by host and date, for engines that span machines (extra ``analytics``)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from straced.errors import OutputError, OutputExists, TracerUnavailable
from straced.fulltrace.calls import Call
from straced.fulltrace.export.tabular import COLUMNS, CsvWriter
from straced.scrub import scrub

_TYPES = {
    "kind": "VARCHAR",
    "line": "BIGINT",
    "pid": "INTEGER",
    "tid": "INTEGER",
    "name": "VARCHAR",
    "args": "VARCHAR",
    "result": "VARCHAR",
    "value": "HUGEINT",
    "errno": "VARCHAR",
    "path": "VARCHAR",
    "start_ns": "BIGINT",
    "epoch_ns": "BIGINT",
    "duration_ns": "BIGINT",
    "status": "INTEGER",
}
MEMORY = "200MB"


class MissingExtra(TracerUnavailable):
    """A part of straced that was not installed."""

    code = "missing_extra"


class ParquetWriter:
    """Collects rows in a temporary file beside the folder, and has DuckDB make the Parquet of it."""

    def __init__(self, folder: Path, host: str) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtra("Parquet needs DuckDB", hint="pip install 'straced[analytics]'") from None
        self._duckdb = duckdb
        self._folder = folder
        self._host = host
        if folder.exists():
            raise OutputExists(f"{scrub(str(folder))} exists", hint="choose a new folder")
        try:
            self._work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
        except OSError as error:
            raise OutputError(f"{scrub(str(folder))} cannot be made: {error.strerror}") from error
        self._stream: BinaryIO = open(self._work / "calls.csv", "wb")  # noqa: SIM115
        self._rows = CsvWriter(self._stream, safe=False)

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def write(self, call: Call) -> None:
        self._rows.write(call)

    def close(self) -> None:
        """Make the folder; it appears in one step, complete."""
        self._rows.close()
        self._stream.close()
        types = ", ".join(f"'{name}': '{_TYPES[name]}'" for name in COLUMNS)
        made = self._work / "made"
        with self._duckdb.connect(
            ":memory:", config={"memory_limit": MEMORY, "temp_directory": str(self._work)}
        ) as engine:
            engine.execute("SET preserve_insertion_order = false")
            engine.execute(
                f"COPY (SELECT * REPLACE (TRY_CAST(value AS BIGINT) AS value), ? AS host, "
                f"COALESCE(strftime(make_timestamp(epoch_ns // 1000), '%Y-%m-%d'), 'unknown') AS date "
                f"FROM read_csv({_quoted(self._work / 'calls.csv')}, header = true, auto_detect = false, delim = ',', "
                f"quote = '\"', escape = '\"', nullstr = '', columns = {{{types}}}, max_line_size = 16000000)) "
                f"TO {_quoted(made)} (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (host, date))",
                [self._host],
            )
        made.rename(self._folder)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
