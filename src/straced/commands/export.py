"""``straced export``: history as files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from straced.commands import service_query
from straced.commands.group import verb
from straced.text.units import count_of

if TYPE_CHECKING:
    from straced.store.history import History

WEEK_S = 7 * 86400.0


@verb(
    "export",
    examples=(
        ("straced export --parquet out --since 1h", "a file a table, for DuckDB, Spark or polars"),
        ("straced export --ndjson out", "the same as lines of JSON"),
        ("straced export --hours /srv/straced", "by date and host, as [export] has the service do it"),
    ),
)
@click.option("--parquet", type=click.Path(path_type=Path), metavar="DIR", help="Parquet files (extra analytics).")
@click.option("--ndjson", type=click.Path(path_type=Path), metavar="DIR", help="NDJSON files.")
@click.option(
    "--hours",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Parquet by date, host and hour: all closed hours that are not there yet.",
)
@click.option("--host", metavar="NAME", help="With --hours: the name of this host; its own by default.")
@service_query.database
@service_query.since
def command(
    parquet: Path | None,
    ndjson: Path | None,
    hours: Path | None,
    host: str | None,
    database: Path | None,
    since_ns: int | None,
) -> int:
    """Write history into files: processes, minutes, calls, failures, latency, events, alerts.

    Reads the file of the service, which may be running; it must be one's own to read. --hours is for straced history
    --from DIR, and keeps what is there.
    """
    from straced.commands.history_file import history_in, usual_path
    from straced.config.loader import find_config
    from straced.store.export import export

    if sum(each is not None for each in (parquet, ndjson, hours)) != 1:
        raise click.UsageError("missing output\ngive --parquet DIR, --ndjson DIR or --hours DIR")
    if hours is None and host is not None:
        raise click.UsageError("--host needs --hours DIR")
    if hours is not None and since_ns is not None:
        raise click.UsageError("--hours takes no --since: it writes whole hours, each once")
    with history_in(database or usual_path()) as history:
        if hours is not None:
            _export_hours(history, hours, host or find_config(None)[1].export.host)
        else:
            folder = parquet or ndjson
            assert folder is not None
            since = service_query.moment(since_ns, WEEK_S)
            export(history, folder, since, parquet=parquet is not None, say=_say)
    return 0


def _export_hours(history: History, folder: Path, host: str) -> None:
    from straced.store.hourly_export import HourlyExport, own_host

    name = host or own_host()
    done = HourlyExport(history, folder, name).run()
    _say(
        f"{count_of(len(done.hours), 'hour')} of {name}: {count_of(done.files, 'file')}, {count_of(done.bytes, 'byte')}"
    )


def _say(text: str) -> None:
    click.echo(f"straced: {text}", err=True)
