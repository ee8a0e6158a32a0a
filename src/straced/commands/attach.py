"""``straced attach``: what is this process doing?"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from straced.commands import options, slow_options
from straced.commands.group import verb
from straced.commands.habits import noted
from straced.linux.targets import TargetSpec
from straced.model.types import Summary

if TYPE_CHECKING:
    from straced.model.split import SplitPart

every_limit = functools.partial(options.limit, all_help="Show all rows; count all processes that have a name.")


@verb(
    "attach",
    examples=(
        ("straced attach 4242", "what is it doing? until Ctrl-C"),
        ("straced attach name:postgres -d 30s --json", "half a minute of it, for a program"),
        ("straced attach 4242 --slower 10ms", "and each call that took longer, with its file or peer"),
        ("straced attach 4242 --by thread -d 10s", "and which of its threads did it"),
        ("straced attach 4242 --files -d 10s", "and which files and peers it was about"),
        ("straced attach 4242 --io-uring -d 10s", "and what it does through io_uring"),
    ),
)
@options.targets()
@options.tracer
@options.follow
@options.duration
@options.interval
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE instead of stdout."
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@options.json
@options.sort
@every_limit
@options.color
@click.option(
    "--max-overhead", type=click.FloatRange(min=0), metavar="PCT", help="Detach if the slowdown exceeds PCT percent."
)
@click.option(
    "--max-tasks",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Maximum number of tasks to ptrace.",
)
@slow_options.slower
@click.option("--by", type=click.Choice(("process", "thread")), help="Also a table of each process or thread (eBPF).")
@slow_options.files
@slow_options.io_uring
@click.option("--force", is_flag=True, help="Allow pid 1 of the host.")
@noted(f="-f is on by default; --no-follow leaves children out", c="-c is what attach does", q="")
def command(
    targets: tuple[TargetSpec, ...],
    tracer: str,
    follow: bool,
    duration_ns: int | None,
    interval_ns: int | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    sort: str,
    limit: int | None,
    color: str,
    max_overhead: float | None,
    max_tasks: int,
    by: str | None,
    slower_ns: int | None,
    waits: bool,
    files: bool,
    io_uring: bool,
    force: bool,
) -> int:
    """Count the system calls of running processes until Ctrl-C, the end of -d, or their own end.

    The table is on stdout. All threads are counted, children too. The targets run on, whatever happens to straced.
    """
    from straced.commands.output import SummaryOutput, destination, growing
    from straced.workflows.attach import AttachRequest, watch
    from straced.workflows.standing import standing

    if by is not None and interval_ns is not None:
        raise click.UsageError("--by is about the whole time: it does not go with -i")

    wanted = AttachRequest(
        targets=options.every(targets),
        tracer=tracer,
        by_ptrace=tracer == "strace",
        follow=follow,
        duration_s=None if duration_ns is None else duration_ns / 1e9,
        interval_s=None if interval_ns is None else interval_ns / 1e9,
        max_overhead_pct=max_overhead,
        max_tasks=max_tasks,
        by=by,
        slower_ns=slow_options.limit_of_slow(slower_ns, waits, tracer),
        slow_waits=waits,
        files=slow_options.check_files(files, interval_ns, tracer),
        io_uring=slow_options.check_io_uring(io_uring, interval_ns, tracer),
        force=force,
    )
    report = SummaryOutput(as_json=as_json, sort=sort, limit=limit, color=color)
    of_a_name = any(spec.every and spec.kind == "name" for spec in wanted.targets)
    several = len(targets) > 1 or interval_ns is not None or by is not None or of_a_name
    told = 0

    def write(summary: Summary, stream: IO[str]) -> None:
        nonlocal told
        indent = 0 if several else 2
        report.write(summary, stream, indent=indent, standing=standing(summary), apart=told > 0)
        told += 1

    if interval_ns is None:
        with destination(output, overwrite, sys.stdout) as stream:

            def tell(summary: Summary, parts: Sequence[SplitPart]) -> None:
                write(summary, stream)
                if by is not None:
                    report.write_split(parts, by, stream)

            return watch(wanted, tell)
    with growing(output, overwrite, sys.stdout) as (stream, written):

        def show(summary: Summary, parts: Sequence[SplitPart]) -> None:
            write(summary, stream)
            written()

        return watch(wanted, show)
