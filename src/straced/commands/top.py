"""``straced top``: for now its ``--trace``, which is the verb trace under the name that daemons' users know."""

from __future__ import annotations

from pathlib import Path

import click

from straced.commands import options
from straced.commands.group import verb
from straced.targets import TargetSpec


@verb(
    "top",
    examples=(
        ("straced top --trace 4242", "every call of it, the same as straced trace 4242"),
        ("straced top --trace 4242 -o t.txt", "into a file"),
    ),
)
@click.option("--trace", "traced", type=options.PidType(), metavar="PID", help="Trace PID fully: straced trace PID.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Into FILE (0600), not stdout.")
def command(traced: TargetSpec | None, output: Path | None) -> int:
    """Take a full trace of a process, by the name that job daemons gave it."""
    from straced.commands.trace import DEFAULT_MAX_BYTES
    from straced.recording import trace_target
    from straced.tracers.strace_record import SPILL_BYTES, RecordOptions
    from straced.units import parse_size_bytes

    if traced is None:
        raise click.UsageError("this build has no live screen\nwindows of one process: straced attach PID -i 1s")
    limits = RecordOptions(max_bytes=parse_size_bytes(DEFAULT_MAX_BYTES), spill_bytes=SPILL_BYTES)
    return trace_target(traced, limits, output)
