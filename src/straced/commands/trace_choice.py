"""Which tracer takes a full trace that was asked for at a shell: eBPF where it may, strace where only that can."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from straced.commands.output import note
from straced.errors import InvalidArgument, StracedError, TracerUnavailable
from straced.linux.targets import TargetSpec
from straced.text.sanitize import scrub
from straced.text.units import count_of

if TYPE_CHECKING:
    from straced.tracers.ebpf.record_session import RecorderOptions
    from straced.tracers.strace.recording import RecordOptions

STRING_BYTES = 128
SPILL_BYTES = 256 * 1000 * 1000


class TraceRequest(Struct, frozen=True, kw_only=True):
    """What is traced, and where it goes."""

    tracer: str = "auto"
    output: Path | None = None
    """``None``: to stdout, or of a command to stderr."""
    overwrite: bool = False
    form: str | None = None
    """``text`` or ``strc``; ``None``: as the name of the file says."""
    report: Path | None = None
    """A page that is made of the trace."""
    redacted: bool = False
    calls: str | None = None
    """A set checked by :func:`straced.tracers.strace.filters.trace_set`."""
    paths: tuple[str, ...] = ()
    failed_only: bool = False
    slower_ns: int | None = None
    ring_bytes: int | None = None
    string_bytes: int | None = None
    """``None``: as the tracer has it, 128 of strace, none by eBPF."""
    follow: bool = True
    max_bytes: int | None = None
    max_seconds: float | None = None
    min_free_bytes: int | None = None
    spill_bytes: int | None = None
    force: bool = False

    @property
    def binary(self) -> bool:
        """Whether the file keeps records, which eBPF alone makes."""
        by_name = self.output is not None and self.output.suffix == ".strc"
        return self.form == "strc" or (self.form is None and by_name)

    @property
    def of_strace(self) -> str:
        """The option that only means something to strace, if one was given."""
        given = {"-P": self.paths, "-s": self.string_bytes is not None, "--spill": self.spill_bytes is not None}
        return next((option for option, value in given.items() if value), "")

    @property
    def by_strace(self) -> bool:
        """Whether nothing but strace comes into question."""
        return self.tracer == "strace" or (self.tracer == "auto" and bool(self.of_strace) and not self.of_records)

    @property
    def of_records(self) -> bool:
        """Whether only eBPF can do it."""
        return self.binary or self.slower_ns is not None or self.ring_bytes is not None


def take_trace(spec: TargetSpec | None, words: Sequence[str], request: TraceRequest) -> int:
    """Trace to the end, and return the exit status.

    Args:
        spec: what runs already, or ``None`` for a command.
        words: the command.
        request: what is wanted.

    Raises:
        InvalidArgument: no tracer can do all of it together.
        OutputError, AttachError, TracerUnavailable: nothing was traced.
    """
    if request.form == "strc" and request.output is None:
        raise InvalidArgument("records go into a file", hint="use -o FILE")
    if request.tracer == "strace" and request.of_records:
        raise InvalidArgument("strace writes no records, and does not look at times", hint="use --tracer ebpf")
    if (request.of_strace and request.of_records) or (request.paths and request.tracer == "ebpf"):
        raise InvalidArgument(f"{request.of_strace} is for strace only", hint="leave it out, or use --tracer strace")
    if request.ring_bytes is not None:
        from straced.tracers.ebpf.record_engine import check_ring

        check_ring(request.ring_bytes)
    if request.redacted and (request.report is not None or request.binary or (request.output and request.by_strace)):
        raise InvalidArgument(
            "a file is redacted when it is there", hint="type: straced report FILE --redact --html OUT"
        )
    if request.report is None:
        return _trace(spec, words, request, None)
    return _with_page(spec, words, request, request.report)


def _with_page(spec: TargetSpec | None, words: Sequence[str], request: TraceRequest, page: Path) -> int:
    """Trace, then make the page; without ``-o`` the trace is kept until then only."""
    from straced.workflows.report import page_of

    with page_of(page, request.output, request.overwrite) as (path, make_page):
        kept = request.output is not None
        status = _trace(spec, words, structs.replace(request, output=path), None if kept else page)
        made = make_page()
    note(f"{count_of(made.lines, 'line')}; the report is in {scrub(str(page))}")
    return status


def _trace(spec: TargetSpec | None, words: Sequence[str], request: TraceRequest, page: Path | None) -> int:
    if request.by_strace:
        notes = () if request.tracer == "strace" else (f"traced by strace, as {request.of_strace} asks for",)
        return _trace_by_strace(spec, words, request, page, notes)

    def instead(error: StracedError) -> int:
        if request.tracer != "auto" or request.of_records or (request.redacted and request.output):
            if words and request.tracer == "auto" and request.slower_ns is None:
                error.hint = "\n".join(
                    filter(None, (error.hint, f"slower: {_typed_for_strace(words, request.output)}"))
                )
            raise error
        return _trace_by_strace(spec, words, request, page, (f"traced by strace, since {scrub(error.reason)}",))

    from straced.workflows.record import TraceOutput, record_command, record_target

    to = TraceOutput(
        request.output, request.overwrite, request.redacted, binary=request.binary or page is not None, page=page
    )
    try:
        options = _recorder_options(request)
    except InvalidArgument as error:
        return instead(error)
    if spec is None:
        return record_command(words, options, to, instead)
    try:
        return record_target(spec, options, to)
    except TracerUnavailable as error:
        refused = error
    return instead(refused)


def _typed_for_strace(words: Sequence[str], output: Path | None) -> str:
    """The same command, for strace, which writes text."""
    to = () if output is None else ("-o", str(output.with_suffix(".txt") if output.suffix == ".strc" else output))
    return scrub(f"straced trace --tracer strace {shlex.join((*to, '--', *words))}")


def _trace_by_strace(
    spec: TargetSpec | None, words: Sequence[str], request: TraceRequest, page: Path | None, notes: tuple[str, ...]
) -> int:
    options = _strace_options(request)
    if spec is None:
        from straced.workflows.trace_command import trace_command

        return trace_command(
            words,
            options,
            request.output,
            request.overwrite,
            page=page is not None,
            redacted=request.redacted,
            notes=notes,
        )
    from straced.workflows.trace import trace_target

    return trace_target(
        spec,
        options,
        request.output,
        request.overwrite,
        page=page,
        redacted=request.redacted,
        notes=notes,
        service_tracer="strace" if request.by_strace else "auto",
    )


def _strace_options(request: TraceRequest) -> RecordOptions:
    from straced.tracers.strace.recording import RecordOptions

    return RecordOptions(
        follow=request.follow,
        trace=request.calls,
        paths=request.paths,
        status="failed" if request.failed_only else None,
        string_bytes=STRING_BYTES if request.string_bytes is None else request.string_bytes,
        max_bytes=request.max_bytes,
        min_free_bytes=request.min_free_bytes,
        max_seconds=request.max_seconds,
        force=request.force,
        spill_bytes=SPILL_BYTES if request.spill_bytes is None else request.spill_bytes,
    )


def _recorder_options(request: TraceRequest) -> RecorderOptions:
    from straced.records.call_sets import calls_of
    from straced.tracers.ebpf.record_engine import RecordFilter
    from straced.tracers.ebpf.record_session import RecorderOptions

    calls = calls_of(request.calls) if request.calls else None
    return RecorderOptions(
        follow=request.follow,
        wanted=RecordFilter(calls=calls, failed_only=request.failed_only, slower_ns=request.slower_ns or 0),
        ring_bytes=request.ring_bytes,
        max_bytes=request.max_bytes,
        max_seconds=request.max_seconds,
        min_free_bytes=request.min_free_bytes,
        force=request.force,
    )
