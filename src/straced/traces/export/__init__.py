"""A trace for other tools: Perfetto and Chrome, NDJSON, CSV, Parquet. Each call is read once for all of them."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, BinaryIO, Protocol

from straced.text.sanitize import scrub
from straced.traces.analysis.calls import Call, calls
from straced.traces.analysis.reader import TraceReading
from straced.traces.values import TraceReport

if TYPE_CHECKING:
    from straced.linux.output_directory import OutputDirectory
    from straced.workflows.report import Wanted


class Writer(Protocol):
    """Takes calls one by one."""

    def write(self, call: Call) -> None: ...

    def close(self) -> None: ...


def write_calls(
    wanted: Wanted,
    reading: TraceReading,
    report: TraceReport,
    files: dict[str, BinaryIO | None],
    parquet: OutputDirectory | None,
) -> None:
    """Read the calls of a trace and hand them to every writer that was asked for."""
    from straced.traces.export.perfetto import PerfettoWriter
    from straced.traces.export.tabular import CsvWriter, NdjsonWriter

    writers: list[Writer] = []
    with contextlib.ExitStack() as stack:
        if (stream := files.get("perfetto")) is not None:
            writers.append(PerfettoWriter(stream, report))
        if (stream := files.get("ndjson")) is not None:
            writers.append(NdjsonWriter(stream))
        if (stream := files.get("csv")) is not None:
            writers.append(CsvWriter(stream))
        if parquet is not None:
            from straced.traces.export.parquet import ParquetWriter

            host = wanted.host or scrub(socket.gethostname(), 100)
            writers.append(stack.enter_context(ParquetWriter(parquet, host)))
        for call in calls(wanted.file, reading):
            for writer in writers:
                writer.write(call)
        for writer in writers:
            writer.close()
