"""One call that makes a report and all files that were asked for; the verbs and ``trace --report`` stand on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec
from msgspec import Struct

from straced.errors import InvalidArgument
from straced.linux.output_directory import OutputDirectory
from straced.linux.output_file import OutputFile, temporary_name
from straced.linux.scratch_file import scratch_errors, scratch_file
from straced.records.layout import MAGIC
from straced.text.redaction import redact, redact_lines
from straced.text.sanitize import scrub
from straced.traces.parsing.interrupt import InterruptHandler
from straced.traces.parsing.source import RecordsInside, open_source
from straced.traces.report.build import build
from straced.traces.report.load import load_reading, load_report
from straced.traces.report.request import ReportRequest
from straced.traces.values import TraceReport

if TYPE_CHECKING:
    from straced.traces.analysis.reader import TraceReading
    from straced.traces.diff.profile import Profile


class Outputs(Struct, frozen=True, kw_only=True):
    """Files to write. Each is new, mode 0600, and gone again when it could not be finished."""

    html: Path | None = None
    perfetto: Path | None = None
    ndjson: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    overwrite: bool = False

    @property
    def of_calls(self) -> bool:
        """Whether the trace must be read a second time, call by call."""
        return any((self.perfetto, self.ndjson, self.csv, self.parquet))


def make(request: ReportRequest, outputs: Outputs | None = None, *, progress: IO[str] | None = None) -> TraceReport:
    """Read a trace, write what was asked for, and return the report.

    Raises:
        StracedError: not a trace, not readable, or an output that cannot be written.
    """
    outputs = outputs or Outputs()
    request.selection.check()
    if request.redacted:
        with _redacted(request, progress) as request:
            return make(request, outputs, progress=progress)
    if request.counts_only and outputs.html:
        raise InvalidArgument("--counts leaves out what --html shows", hint="give one of them")
    if outputs.of_calls and request.file == "-":
        raise InvalidArgument(
            "standard input can be read only once, and these outputs need a second look",
            hint="straced trace ... -o FILE, then straced report FILE",
        )
    with contextlib.ExitStack() as stack:
        request = stack.enter_context(as_lines(request))
        page = _open(stack, outputs.html, outputs.overwrite)
        calls = {
            name: _open(stack, path, outputs.overwrite)
            for name, path in (("perfetto", outputs.perfetto), ("ndjson", outputs.ndjson), ("csv", outputs.csv))
        }
        parquet = None if outputs.parquet is None else stack.enter_context(OutputDirectory(outputs.parquet))
        request, reading = _load(stack, request, progress)
        if outputs.perfetto and reading.form.clock is None:
            raise InvalidArgument(
                "the trace has no times, and a time line is made of them",
                hint="record it with -ttt -T, or use --ndjson",
            )
        if reading.interrupted and outputs.of_calls:
            raise KeyboardInterrupt  # the second look would be at more than the first
        report = build(reading)
        if page is not None:
            from straced.traces.report.closeup import look_closer
            from straced.views.html.page import render

            host = request.host or _host_of(reading)
            page.write(render(report, look_closer(request, reading, report), host=host).encode())
        if outputs.of_calls:
            from straced.traces.export import write_calls

            write_calls(request, reading, report, calls, parquet)
    return report


def _host_of(reading: TraceReading) -> str | None:
    """The machine that was traced, where straced traced it."""
    header = reading.comments.header
    return scrub(header.host, 100) or None if header is not None else None


def _load(
    stack: contextlib.ExitStack, request: ReportRequest, progress: IO[str] | None
) -> tuple[ReportRequest, TraceReading]:
    """Read a trace; records that are packed, or come from a pipe, are lines for as long as the stack lasts."""
    try:
        return request, load_reading(request, progress=progress)
    except RecordsInside as found:
        request = stack.enter_context(as_lines(_unpacked(stack, request, found)))
        return request, load_reading(request, progress=progress)


def _unpacked(stack: contextlib.ExitStack, request: ReportRequest, found: RecordsInside) -> ReportRequest:
    path = _path_of(stack.enter_context(found.file))
    return msgspec.structs.replace(
        request, file=path, name=request.name or found.name, notes=found.notes, damage=found.damage
    )


def _path_of(file: IO[bytes]) -> str:
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"  # also for the processes that help to read


@contextlib.contextmanager
def _redacted(request: ReportRequest, progress: IO[str] | None) -> Iterator[ReportRequest]:
    """The request of the same trace without its secrets: whatever is made of it, they are in none of it."""
    with contextlib.ExitStack() as stack:
        try:
            request = stack.enter_context(as_lines(request))
            found = _lines_without_secrets(stack, request)
        except RecordsInside as records:
            request = stack.enter_context(as_lines(_unpacked(stack, request, records)))
            found = _lines_without_secrets(stack, request)
        yield found


def _lines_without_secrets(stack: contextlib.ExitStack, request: ReportRequest) -> ReportRequest:
    with InterruptHandler() as stop:
        source = open_source(request.file, stop)
        name = request.name or source.name
        copy = stack.enter_context(scratch_file())
        with scratch_errors():
            for block in redact_lines(source.blocks()):
                copy.write(block[1:])
            copy.flush()
        if source.stopped:
            raise KeyboardInterrupt
    notes, damage = (*request.notes, *source.notes), (*request.damage, *source.damage)
    return msgspec.structs.replace(
        request, file=_path_of(copy), name=redact(name), notes=notes, damage=damage, redacted=False
    )


@contextlib.contextmanager
def as_lines(request: ReportRequest) -> Iterator[ReportRequest]:
    """The request of a trace of lines, made of a file of records (``.strc``) for as long as the block lasts.

    Raises:
        NoRecords: it begins as such a file, and is none.
    """
    if request.file == "-" or not _has_records(request.file):
        yield request
        return
    from straced.profiling.record_text import write_lines

    with scratch_file() as lines:
        with scratch_errors():
            troubles, damage = write_lines(Path(request.file), lines)
            lines.flush()
        yield msgspec.structs.replace(
            request,
            file=_path_of(lines),
            name=request.name or request.file,
            notes=(*request.notes, *troubles),
            damage=(*request.damage, *damage),
        )


def _has_records(path: str) -> bool:
    """Of a file that can be read twice: what is read of a pipe is gone."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:  # said by who reads it
        return False


def profile_of(name: str, *, jobs: int | None = None, progress: IO[str] | None = None) -> Profile:
    """What ``straced diff`` compares of a trace, of records, or of a saved summary.

    Raises:
        StracedError: it is none of them.
    """
    from straced.traces.diff.profile import load, of_report

    with contextlib.ExitStack() as stack:
        request = stack.enter_context(as_lines(ReportRequest(file=name, jobs=jobs)))
        if request.file == name:
            try:
                return load(name, jobs=jobs, progress=progress)
            except RecordsInside as found:
                request = stack.enter_context(as_lines(_unpacked(stack, request, found)))
        return of_report(load_report(request, progress=progress), name)


def report_file(path: Path | str, html: Path, *, overwrite: bool = False) -> TraceReport:
    """Make the HTML report of a finished trace."""
    return make(ReportRequest(file=str(path)), Outputs(html=html, overwrite=overwrite))


@contextlib.contextmanager
def page_of(
    html: Path, trace: Path | None, overwrite: bool = False
) -> Iterator[tuple[Path, Callable[[], TraceReport]]]:
    """Open a page before its trace is recorded: what ``trace --report`` needs.

    Gives the path to record into (a file beside the page that is removed at the end, where ``trace`` is ``None``), and
    what makes the page when that is done. Without a page nothing is left of it.

    Raises:
        OutputError: the page cannot be written; nothing has been recorded by then.
    """
    with OutputFile(html, overwrite=overwrite) as page:
        path = trace or html.with_name(temporary_name())
        try:
            yield path, lambda: _write_page(page.binary, path, trace)
        finally:
            if trace is None:
                path.unlink(missing_ok=True)


def _write_page(page: BinaryIO, path: Path, shown: Path | None) -> TraceReport:
    from straced.traces.report.closeup import look_closer
    from straced.views.html.page import render

    with as_lines(ReportRequest(file=str(path), name=None if shown else "live trace")) as request:
        reading = load_reading(request)
        report = build(reading)
        page.write(render(report, look_closer(request, reading, report), host=_host_of(reading)).encode())
    return report


def _open(stack: contextlib.ExitStack, path: Path | None, overwrite: bool) -> BinaryIO | None:
    """A new file that gets its name when all went well."""
    return None if path is None else stack.enter_context(OutputFile(path, overwrite=overwrite)).binary
