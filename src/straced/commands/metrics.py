"""``straced metrics``: the service's figures for Prometheus and its like."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from straced.commands import asking
from straced.commands.group import verb


@verb(
    "metrics",
    examples=(
        ("straced metrics", "OpenMetrics on stdout"),
        ("straced metrics --textfile /var/lib/node_exporter/straced.prom", "for the node exporter, from a timer"),
    ),
)
@click.option("--textfile", type=click.Path(path_type=Path), metavar="FILE", help="Into FILE, replaced as a whole.")
def command(textfile: Path | None) -> int:
    """Print what all watched processes did since the service started, as OpenMetrics; of a system's service with sudo.

    The service can also listen for scrapes by itself: metrics.listen in straced.toml.
    """
    text = asking.ask(lambda client: client.metrics())
    if textfile is None:
        sys.stdout.write(text)
        return 0
    fresh = textfile.with_name(f".{textfile.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, textfile)
    finally:
        fresh.unlink(missing_ok=True)
    return 0
