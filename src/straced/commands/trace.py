"""``straced trace``: every call of a process, in strace's format."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from straced.commands import options
from straced.commands.group import ExampleCommand, verb
from straced.commands.habits import noted
from straced.errors import InvalidArgument, StracedError, TracerUnavailable
from straced.linux.targets import TargetSpec
from straced.text.sanitize import scrub
from straced.text.units import format_count

if TYPE_CHECKING:
    from straced.tracers.ebpf.record_session import RecorderOptions

DEFAULT_MAX_BYTES = "1GB"
WORDS = "straced.words"
"""Where a command that stands behind ``--`` is kept until the options have been read."""
MISSING = "missing target\ngive a pid, or a command behind --"


class TargetOrCommand(ExampleCommand):
    """What stands behind ``--`` is a command to run, and no target."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[WORDS] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@verb(
    "trace",
    examples=(
        ("straced trace 4242 -o t.txt", "every call, until Ctrl-C or its end"),
        ("straced trace 4242 -e %file -Z | less", "failed file look-ups, as they happen"),
        ("straced trace 4242 -d 10s --report out.html", "a page about ten seconds of it"),
        ("straced trace -o t.strc -- make", "a command from its first instruction, by eBPF"),
    ),
    cls=TargetOrCommand,
)
@options.targets(required=False)
@click.option(
    "--tracer",
    type=click.Choice(("auto", "strace", "ebpf")),
    help="ebpf records in the kernel, without ptrace; auto takes it where it may, else strace.  "
    "[default: strace; ebpf for a command or a FILE.strc]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (mode 0600) instead of stdout; FILE.strc keeps records (eBPF).",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="OUT", help="Also write an HTML report to OUT.")
@click.option("--overwrite", is_flag=True, help="Replace FILE and OUT if they exist.")
@click.option("-e", "trace_set", metavar="SET", help="Only these calls: openat,read or %file or /regex or !futex.")
@click.option("-P", "paths", multiple=True, metavar="PATH", help="Only calls on PATH; may be repeated.")
@click.option("-Z", "--failed-only", is_flag=True, help="Only calls that fail.")
@click.option(
    "--slower", "slower_ns", type=options.Duration(), metavar="TIME", help="Only calls of TIME or more (eBPF)."
)
@click.option(
    "--ring", "ring_bytes", type=options.Size(), help="Memory for records of each CPU (eBPF).  [default: 8MiB]"
)
@click.option(
    "-s",
    "string_bytes",
    type=click.IntRange(min=0),
    default=128,
    show_default=True,
    help="Maximum string length to print, in bytes.",
)
@options.follow
@options.duration
@click.option(
    "--max-bytes", type=options.Size(), default=DEFAULT_MAX_BYTES, show_default=True, help="Stop at about this size."
)
@click.option(
    "--min-free", type=options.Size(), help="Free space to leave on the disk of FILE.  [default: 64MB, or a twentieth]"
)
@click.option(
    "--spill", type=options.Size(), default="256MB", show_default=True, help="Maximum data buffered for a slow reader."
)
@click.option("--redact", is_flag=True, help="Leave out secrets: passwords, tokens, keys, names of homes.")
@click.option("--force", is_flag=True, help="Allow pid 1 of the host.")
@noted(f="-f is on by default; --no-follow leaves children out", q="", v="")
@noted(t="-ttt is on by default", T="-T is on by default", y="-yy is on by default")
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[TargetSpec, ...],
    tracer: str | None,
    output: Path | None,
    report: Path | None,
    overwrite: bool,
    trace_set: str | None,
    paths: tuple[str, ...],
    failed_only: bool,
    slower_ns: int | None,
    ring_bytes: int | None,
    string_bytes: int,
    follow: bool,
    duration_ns: int | None,
    max_bytes: int,
    min_free: int | None,
    spill: int,
    redact: bool,
    force: bool,
) -> int:
    """Write every system call of a process, its threads and children, one a line (strace -f -ttt -T -yy -s 128).

    The target is slowed down a lot while it lasts (a call costs tens to hundreds of microseconds). It never waits for
    the reader of the trace: what a slow pipe does not take goes to a bounded file, then lines are dropped, and counted.

    By eBPF the target is neither stopped nor slowed down by more than tens of nanoseconds a call, and what stands in
    buffers is not shown. A command behind -- is traced so from its first instruction: its lines go to stderr unless
    -o says where, and the exit status is its own.
    """
    from straced.tracers.strace.filters import trace_set as checked
    from straced.tracers.strace.filters import widened

    words: tuple[str, ...] = ctx.meta.get(WORDS, ())
    if len(targets) != (not words):
        raise click.UsageError(
            f"one target at a time\ntype: straced trace {targets[0]}, and the others in other terminals"
            if targets
            else MISSING
        )
    if trace_set:
        trace_set, added = widened(trace_set)
        if added:
            click.echo(f"straced: -e {scrub(trace_set)}: programs of today call {', '.join(added)}, too", err=True)
    calls = checked(trace_set) if trace_set else None
    binary = output is not None and output.suffix == ".strc"
    given = ctx.get_parameter_source("string_bytes") is ParameterSource.COMMANDLINE
    of_strace = {"-P": paths, "--report": report, "-s": given and tracer == "auto"}
    of_records = binary or slower_ns is not None or ring_bytes is not None
    if tracer == "auto" and any(of_strace.values()) and not of_records:
        tracer = "strace"
    by_ebpf = tracer in ("ebpf", "auto") or (tracer is None and (binary or bool(words)))
    if redact and (report is not None or binary or (output is not None and not by_ebpf)):
        raise click.UsageError("a file is redacted when it is there\ntype: straced report FILE --redact --html OUT")
    if by_ebpf:
        _refuse(of_strace)
    elif of_records:
        raise click.UsageError("strace writes no records, and does not look at times\nuse --tracer ebpf")
    from straced.tracers.strace.recording import RecordOptions

    wanted = RecordOptions(
        follow=follow,
        trace=calls,
        paths=paths,
        status="failed" if failed_only else None,
        string_bytes=string_bytes,
        max_bytes=max_bytes,
        min_free_bytes=min_free,
        max_seconds=None if duration_ns is None else duration_ns / 1e9,
        force=force,
        spill_bytes=spill,
    )

    def trace(path: Path | None, page: Path | None) -> int:
        if words:
            from straced.workflows.trace_command import trace_command

            return trace_command(words, wanted, path, overwrite, page=page is not None, redacted=redact)
        from straced.workflows.trace import trace_target

        return trace_target(targets[0], wanted, path, overwrite, page=page, redacted=redact)

    def instead(error: StracedError) -> int:
        click.echo(f"straced: traced by strace, since {scrub(error.reason)}", err=True)
        return trace(output, None)

    if not by_ebpf:
        return trace(output, None) if report is None else _with_page(trace, output, report, overwrite)
    from straced.workflows.record import TraceOutput, record_command, record_target

    otherwise = instead if tracer == "auto" and not of_records and not (redact and output) else None
    try:
        options = _recorder_options(
            calls, failed_only, slower_ns, ring_bytes, follow, duration_ns, max_bytes, min_free, force
        )
    except InvalidArgument as error:
        if otherwise is None:
            raise
        return otherwise(error)
    to = TraceOutput(output, overwrite, redact)
    if words:
        try:
            return record_command(words, options, to, otherwise)
        except TracerUnavailable as error:
            if tracer is None and slower_ns is None:
                error.hint = "\n".join(filter(None, (error.hint, f"slower: {_by_strace(ctx, words, output)}")))
            raise
    try:
        return record_target(targets[0], options, to)
    except TracerUnavailable as error:
        if otherwise is None:
            raise
        return otherwise(error)


def _by_strace(ctx: click.Context, words: tuple[str, ...], output: Path | None) -> str:
    """The same, typed for strace, which writes text."""
    to = () if output is None else ("-o", str(output.with_suffix(".txt") if output.suffix == ".strc" else output))
    return scrub(f"{ctx.command_path} --tracer strace {shlex.join((*to, '--', *words))}")


def _refuse(given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value:
            raise click.UsageError(f"{option} is for strace only\nleave it out, or use --tracer strace")


def _recorder_options(
    calls: str | None,
    failed_only: bool,
    slower_ns: int | None,
    ring_bytes: int | None,
    follow: bool,
    duration_ns: int | None,
    max_bytes: int,
    min_free: int | None,
    force: bool,
) -> RecorderOptions:
    from straced.records.call_sets import calls_of
    from straced.tracers.ebpf.record_engine import RecordFilter
    from straced.tracers.ebpf.record_session import RecorderOptions

    wanted = RecordFilter(calls=calls_of(calls) if calls else None, failed_only=failed_only, slower_ns=slower_ns or 0)
    return RecorderOptions(
        follow=follow,
        wanted=wanted,
        ring_bytes=ring_bytes,
        max_bytes=max_bytes,
        max_seconds=None if duration_ns is None else duration_ns / 1e9,
        min_free_bytes=min_free,
        force=force,
    )


def _with_page(
    trace: Callable[[Path | None, Path | None], int], output: Path | None, page: Path, overwrite: bool
) -> int:
    """Trace, then make the page; without ``-o`` the trace is kept until then only."""
    from straced.commands.output import note
    from straced.workflows.report import page_of

    with page_of(page, output, overwrite) as (path, make_page):
        status = trace(path, None if output else page)
        made = make_page()
    note(f"{format_count(made.lines)} lines; the report is in {scrub(str(page))}")
    return status
