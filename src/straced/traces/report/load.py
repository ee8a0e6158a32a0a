"""Reads the trace of a request, until its end or the first Ctrl-C."""

from __future__ import annotations

from typing import IO

from straced.traces.analysis.reader import TraceReading, read
from straced.traces.parsing.interrupt import InterruptHandler
from straced.traces.parsing.source import open_source
from straced.traces.report.build import build
from straced.traces.report.progress import terminal_progress
from straced.traces.report.request import ReportRequest
from straced.traces.values import TraceReport


def load_reading(request: ReportRequest, *, progress: IO[str] | None = None) -> TraceReading:
    """Return what the passes find in a trace.

    Args:
        request: the trace, and how much of it.
        progress: a terminal that shows how far the reader is; ``None``: nothing is shown.

    Raises:
        InputError: the trace cannot be read.
        NotATrace: no line of its beginning is strace's.
        WorkerDied: a helper process was killed.
    """
    with terminal_progress(progress) as show, InterruptHandler() as stop:
        source = open_source(request.file, stop)
        if request.name is not None:
            source.name = request.name
        source.notes += request.notes
        source.damage += request.damage
        return read(
            source,
            detail=not request.counts_only or bool(request.selection),
            selection=request.selection,
            jobs=request.jobs,
            progress=show,
        )


def load_report(request: ReportRequest, *, progress: IO[str] | None = None) -> TraceReport:
    """Return the report of a trace; arguments and errors are those of :func:`load_reading`."""
    return build(load_reading(request, progress=progress))
