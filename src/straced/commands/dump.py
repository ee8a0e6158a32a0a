"""``straced dump``: what a flight recorder holds, into a file."""

from __future__ import annotations

from pathlib import Path

import click

from straced.commands import options
from straced.commands.group import verb
from straced.linux.targets import TargetSpec


@verb(
    "dump",
    examples=(
        ("straced dump 4242 -o last.strc", "what its recorder still has"),
        ("straced dump 4242 -o last.strc --last 10s", "only the last ten seconds"),
        ("straced report last.strc", "what was that?"),
    ),
)
@options.targets()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.strc",
    required=True,
    help="Write to this file (mode 0600).",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--last", "last_ns", type=options.Duration(), metavar="TIME", help="Only calls of the last TIME.")
@click.option(
    "--min-free", type=options.Size(), help="Free space to leave on the disk of FILE.  [default: 64MB, or a twentieth]"
)
@click.option("--redact", is_flag=True, help="Leave out secrets: passwords, tokens, keys, names of homes.")
def command(
    targets: tuple[TargetSpec, ...],
    output: Path,
    overwrite: bool,
    last_ns: int | None,
    min_free: int | None,
    redact: bool,
) -> int:
    """Write the last calls of a process that straced record or the service keeps, and those in flight, to a file.

    The recorder goes on. The file says from when on it has everything: what is older was overwritten.
    """
    from straced.workflows.dump import dump_target

    return dump_target(targets, output, overwrite=overwrite, last_ns=last_ns, min_free_bytes=min_free, redact=redact)
