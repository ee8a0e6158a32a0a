"""``straced metrics``: the service's figures for Prometheus and its like."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from straced.commands import service_query
from straced.commands.group import verb


@verb(
    "metrics",
    examples=(
        ("straced metrics", "OpenMetrics on stdout"),
        ("straced metrics -o /var/lib/node_exporter/straced.prom", "for the node exporter, from a timer"),
    ),
)
@click.option(
    "-o",
    "--output",
    "--textfile",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (world-readable), replaced atomically; - is stdout.",
)
def command(output: Path | None) -> int:
    """Print what all watched processes did since the service started, as OpenMetrics; of a system's service with sudo.

    The service can also listen for scrapes by itself: metrics.listen in straced.toml.
    """
    from straced.linux.output_file import TEXTFILE_MODE, OutputFile

    if output is None or str(output) == "-":
        sys.stdout.write(service_query.ask(lambda client: client.metrics()))
        return 0
    with OutputFile(output, overwrite=True, mode=TEXTFILE_MODE) as file:
        file.text.write(service_query.ask(lambda client: client.metrics()))
    return 0
