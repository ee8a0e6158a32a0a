"""``straced export``: history as files for other tools."""

from __future__ import annotations

from pathlib import Path

import click

from straced.commands import service_query
from straced.commands.group import verb

WEEK_S = 7 * 86400.0


@verb(
    "export",
    examples=(
        ("straced export --parquet out --since 1h", "a file a table, for DuckDB, Spark or polars"),
        ("straced export --ndjson out", "the same as lines of JSON"),
    ),
)
@click.option("--parquet", type=click.Path(path_type=Path), metavar="DIR", help="Parquet files (extra analytics).")
@click.option("--ndjson", type=click.Path(path_type=Path), metavar="DIR", help="NDJSON files.")
@click.option("--db", "database", type=click.Path(path_type=Path), metavar="FILE", help="History database.")
@service_query.since
def command(parquet: Path | None, ndjson: Path | None, database: Path | None, since_ns: int | None) -> int:
    """Write history into files: processes, minutes, calls (by process, minute and call), events, alerts.

    Reads the file of the service, which may be running; it must be one's own to read.
    """
    from straced.config import paths
    from straced.store.export import export
    from straced.store.history import History
    from straced.workflows.serve import find_config

    if (parquet is None) == (ndjson is None):
        raise click.UsageError("missing output\ngive --parquet DIR or --ndjson DIR")
    _path, config = find_config(None)
    history = History(database or (Path(config.store.path) if config.store.path else paths.of(config).history))
    folder = parquet or ndjson
    assert folder is not None
    try:
        export(
            history,
            folder,
            service_query.moment(since_ns, WEEK_S),
            parquet=parquet is not None,
            say=lambda text: click.echo(f"straced: {text}", err=True),
        )
    finally:
        history.close()
    return 0
