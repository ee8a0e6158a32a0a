"""``straced trace``: every call of a process, in strace's format or as records."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from straced.commands import options
from straced.commands.group import ExampleCommand, verb
from straced.commands.habits import noted
from straced.linux.targets import TargetSpec
from straced.text.sanitize import scrub

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
        ("straced trace unit:nginx -d 10s --report out.html", "a page about ten seconds of it"),
        ("straced trace -o t.strc -- make", "a command from its first instruction, as records"),
        ("straced trace 4242 -s 4096 -e write", "what it writes: buffers are strace's"),
    ),
    cls=TargetOrCommand,
)
@options.targets(required=False)
@click.option(
    "--tracer",
    type=click.Choice(("auto", "strace", "ebpf")),
    default="auto",
    show_default=True,
    help="ebpf records in the kernel, without ptrace; auto takes it where it may, else strace, and says so.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (mode 0600) instead of stdout; FILE.strc keeps records (eBPF).",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "strc")),
    help="What FILE holds, whatever its name.  [default: by name]",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="OUT", help="Also write an HTML report to OUT.")
@click.option("--overwrite", is_flag=True, help="Replace FILE and OUT if they exist.")
@click.option("-e", "trace_set", metavar="SET", help="Only these calls: openat,read or %file or /regex or !futex.")
@click.option("-P", "paths", multiple=True, metavar="PATH", help="Only calls on PATH (strace); may be repeated.")
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
    help="Maximum string length to print, in bytes (strace).",
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
    "--spill",
    type=options.Size(),
    default="256MB",
    show_default=True,
    help="Maximum data buffered for a slow reader (strace).",
)
@click.option("--redact", is_flag=True, help="Leave out secrets: passwords, tokens, keys, names of homes.")
@click.option("--force", is_flag=True, help="Allow pid 1 of the host.")
@noted(f="-f is on by default; --no-follow leaves children out", q="", v="")
@noted(t="-ttt is on by default", T="-T is on by default", y="-yy is on by default")
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[TargetSpec, ...],
    tracer: str,
    output: Path | None,
    form: str | None,
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
    """Write every system call of a process, its threads and children, one a line (strace -f -ttt -T -yy).

    By eBPF the target is neither stopped nor slowed down by more than tens of nanoseconds a call, and what stands in
    buffers is not shown. A command behind -- is traced from its first instruction: its lines go to stderr unless -o
    says where, and the exit status is its own.

    By strace, which -s, -P and --spill ask for, and which is taken where eBPF may not run, the target is slowed down a
    lot (a call costs tens to hundreds of microseconds). It never waits for the reader of the trace: what a slow pipe
    does not take goes to a bounded file, then lines are dropped, and counted.
    """
    from straced.commands.trace_choice import TraceRequest, take_trace
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

    def given(name: str) -> bool:
        return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE

    request = TraceRequest(
        tracer=tracer,
        output=output,
        form=form,
        report=report,
        overwrite=overwrite,
        redacted=redact,
        calls=checked(trace_set) if trace_set else None,
        paths=paths,
        failed_only=failed_only,
        slower_ns=slower_ns,
        ring_bytes=ring_bytes,
        string_bytes=string_bytes if given("string_bytes") else None,
        follow=follow,
        max_bytes=max_bytes,
        max_seconds=None if duration_ns is None else duration_ns / 1e9,
        min_free_bytes=min_free,
        spill_bytes=spill if given("spill") else None,
        force=force,
    )
    return take_trace(targets[0] if targets else None, words, request)
