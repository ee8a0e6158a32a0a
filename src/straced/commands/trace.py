"""``straced trace``: every call of a process, in strace's format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from straced.commands import options
from straced.commands.group import verb
from straced.commands.habits import noted
from straced.linux.targets import TargetSpec
from straced.text.sanitize import scrub
from straced.text.units import format_count

if TYPE_CHECKING:
    from straced.tracers.strace.recording import RecordOptions

DEFAULT_MAX_BYTES = "1GB"


@verb(
    "trace",
    examples=(
        ("straced trace 4242 -o t.txt", "every call, until Ctrl-C or its end"),
        ("straced trace 4242 -e %file -Z | less", "failed file look-ups, as they happen"),
        ("straced trace 4242 -d 10s --report out.html", "a page about ten seconds of it"),
    ),
)
@options.targets()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (mode 0600) instead of stdout.",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="OUT", help="Also write an HTML report to OUT.")
@click.option("--overwrite", is_flag=True, help="Replace FILE and OUT if they exist.")
@click.option("-e", "trace_set", metavar="SET", help="Only these calls: openat,read or %file or /regex or !futex.")
@click.option("-P", "paths", multiple=True, metavar="PATH", help="Only calls on PATH; may be repeated.")
@click.option("-Z", "--failed-only", is_flag=True, help="Only calls that fail.")
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
@click.option("--force", is_flag=True, help="Allow pid 1 of the host.")
@noted(f="-f is on by default; --no-follow leaves children out", q="", v="")
@noted(t="-ttt is on by default", T="-T is on by default", y="-yy is on by default")
def command(
    targets: tuple[TargetSpec, ...],
    output: Path | None,
    report: Path | None,
    overwrite: bool,
    trace_set: str | None,
    paths: tuple[str, ...],
    failed_only: bool,
    string_bytes: int,
    follow: bool,
    duration_ns: int | None,
    max_bytes: int,
    min_free: int | None,
    spill: int,
    force: bool,
) -> int:
    """Write every system call of a process, its threads and children, one a line (strace -f -ttt -T -yy -s 128).

    The target is slowed down a lot while it lasts (a call costs tens to hundreds of microseconds). It never waits for
    the reader of the trace: what a slow pipe does not take goes to a bounded file, then lines are dropped, and counted.
    """
    from straced.tracers.strace.filters import trace_set as checked
    from straced.tracers.strace.filters import widened
    from straced.tracers.strace.recording import RecordOptions
    from straced.workflows.trace import trace_target

    if len(targets) != 1:
        first = targets[0]
        raise click.UsageError(f"one target at a time\ntype: straced trace {first}, and the others in other terminals")
    if trace_set:
        trace_set, added = widened(trace_set)
        if added:
            click.echo(f"straced: -e {scrub(trace_set)}: programs of today call {', '.join(added)}, too", err=True)
    wanted = RecordOptions(
        follow=follow,
        trace=checked(trace_set) if trace_set else None,
        paths=paths,
        status="failed" if failed_only else None,
        string_bytes=string_bytes,
        max_bytes=max_bytes,
        min_free_bytes=min_free,
        max_seconds=None if duration_ns is None else duration_ns / 1e9,
        force=force,
        spill_bytes=spill,
    )
    if report is not None:
        return _with_page(targets[0], wanted, output, report, overwrite)
    return trace_target(targets[0], wanted, output, overwrite)


def _with_page(target: TargetSpec, options: RecordOptions, output: Path | None, page: Path, overwrite: bool) -> int:
    """Trace, then make the page; without ``-o`` the trace is kept until then only."""
    from straced.commands.output import note
    from straced.workflows.report import page_of
    from straced.workflows.trace import trace_target

    with page_of(page, output, overwrite) as (path, make_page):
        status = trace_target(target, options, path, overwrite, page=None if output else page)
        made = make_page()
    note(f"{format_count(made.lines)} lines; the report is in {scrub(str(page))}")
    return status
