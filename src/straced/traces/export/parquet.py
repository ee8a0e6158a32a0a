"""Calls as Parquet, partitioned by host and date, for engines that span machines (extra ``analytics``)."""

from __future__ import annotations

import contextlib
import tempfile
from types import TracebackType
from typing import BinaryIO, cast

from straced.errors import OutputError, TracerUnavailable
from straced.linux.output_directory import OutputDirectory
from straced.text.sanitize import scrub
from straced.traces.analysis.calls import Call
from straced.traces.export.tabular import COLUMNS, CsvWriter

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
    "waiting_ns": "BIGINT",
    "status": "INTEGER",
}
MEMORY = "200MB"
MADE = "made"


class MissingExtra(TracerUnavailable):
    """A part of straced that was not installed."""

    code = "missing_extra"


class ParquetWriter:
    """Collects rows in a nameless file beside the directory, and has DuckDB make the Parquet of it."""

    def __init__(self, output: OutputDirectory, host: str) -> None:
        try:
            import duckdb
        except ImportError:
            raise MissingExtra("Parquet needs DuckDB", hint="pip install 'straced[analytics]'") from None
        self._duckdb = duckdb
        self._host = host
        self._output = output
        self._stream = cast(BinaryIO, tempfile.TemporaryFile(dir=self._output.inside))  # noqa: SIM115
        self._rows = CsvWriter(self._stream, safe=False)

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # its rows are no longer needed
            self._stream.close()

    def write(self, call: Call) -> None:
        try:
            self._rows.write(call)
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error

    def close(self) -> None:
        """Make the directory; it appears in one step, complete."""
        try:
            self._rows.close()
            self._stream.flush()
            self._convert()
        except OSError as error:
            raise self._refusal(error.strerror or str(error)) from error
        except self._duckdb.Error as error:
            raise self._refusal(str(error)) from error
        self._output.commit(MADE)

    def _refusal(self, why: str) -> OutputError:
        return OutputError(f"{scrub(str(self._output.path))} cannot be made: {scrub(why, 200)}")

    def _convert(self) -> None:
        types = ", ".join(f"'{name}': '{_TYPES[name]}'" for name in COLUMNS)
        room = self._output.inside
        rows = f"/proc/self/fd/{self._stream.fileno()}"
        with self._duckdb.connect(":memory:", config={"memory_limit": MEMORY, "temp_directory": str(room)}) as engine:
            engine.execute("SET preserve_insertion_order = false")
            engine.execute(
                f"COPY (SELECT * REPLACE (TRY_CAST(value AS BIGINT) AS value), ? AS host, "
                f"COALESCE(strftime(make_timestamp(epoch_ns // 1000), '%Y-%m-%d'), 'unknown') AS date "
                f"FROM read_csv('{rows}', header = true, auto_detect = false, delim = ',', "
                f"quote = '\"', escape = '\"', nullstr = '', columns = {{{types}}}, max_line_size = 16000000)) "
                f"TO '{room / MADE}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (host, date))",
                [self._host],
            )
