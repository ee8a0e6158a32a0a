"""``straced record``: the last calls of a process, kept in memory until somebody wants to see them."""

from __future__ import annotations

from pathlib import Path

import click

from straced.commands import options
from straced.commands.group import verb
from straced.linux.targets import TargetSpec


@verb(
    "record",
    examples=(
        ("straced record 4242", "keep its last calls, until Ctrl-C or its end"),
        ("straced dump 4242 -o last.strc", "in another shell: write them down"),
        ("straced record 4242 -o end.strc --ring 64MiB", "also write what came last, when it ends"),
        ("straced record unit:nginx -Z --dumps /var/tmp", "failures only; SIGUSR1 writes a dump there"),
    ),
)
@options.targets()
@click.option(
    "--ring", "ring_bytes", type=options.Size(), help="Memory for records of each CPU.  [default: 8MiB, at most 64MiB]"
)
@click.option("-e", "trace_set", metavar="SET", help="Only these calls: openat,read or %file or /regex or !futex.")
@click.option("-Z", "--failed-only", is_flag=True, help="Only calls that fail.")
@click.option("--slower", "slower_ns", type=options.Duration(), metavar="TIME", help="Only calls of TIME or more.")
@options.follow
@options.duration
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write what is kept at the end to FILE.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--last", "last_ns", type=options.Duration(), metavar="TIME", help="Of a dump by signal: only the last TIME."
)
@click.option(
    "--dumps",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    show_default=True,
    metavar="DIR",
    help="Where SIGUSR1 writes dumps.",
)
@click.option(
    "--max-bytes", type=options.Size(), default="1GB", show_default=True, help="Of all dumps in DIR; the oldest go."
)
@click.option(
    "--max-age", "max_age_ns", type=options.Duration(), default="7d", show_default=True, help="Older dumps in DIR go."
)
@click.option("--force", is_flag=True, help="Allow pid 1 of the host.")
def command(
    targets: tuple[TargetSpec, ...],
    ring_bytes: int | None,
    trace_set: str | None,
    failed_only: bool,
    slower_ns: int | None,
    follow: bool,
    duration_ns: int | None,
    output: Path | None,
    overwrite: bool,
    last_ns: int | None,
    dumps: Path,
    max_bytes: int,
    max_age_ns: int,
    force: bool,
) -> int:
    """Keep the last calls of processes in memory, with their arguments, by eBPF: a flight recorder.

    Nothing is written until straced dump asks for it in another shell, or SIGUSR1 comes: then what is still there, and
    the calls in flight, are in a file that straced report reads. New records take the place of the oldest.
    """
    from straced.records.call_sets import calls_of
    from straced.tracers.ebpf.flight import FlightOptions
    from straced.tracers.ebpf.record_engine import RecordFilter
    from straced.tracers.strace.filters import trace_set as checked
    from straced.workflows.flight import DumpPlan, record_targets

    calls = calls_of(checked(trace_set)) if trace_set else None
    wanted = RecordFilter(calls=calls, failed_only=failed_only, slower_ns=slower_ns or 0)
    return record_targets(
        targets,
        FlightOptions(follow=follow, wanted=wanted, ring_bytes=ring_bytes, force=force),
        DumpPlan(
            folder=dumps,
            max_bytes=max_bytes,
            max_days=max_age_ns / 86400e9,
            last_ns=last_ns,
            output=output,
            overwrite=overwrite,
            max_seconds=None if duration_ns is None else duration_ns / 1e9,
        ),
    )
