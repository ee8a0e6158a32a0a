"""``straced report``: what stands in a trace file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from straced.commands import options
from straced.commands.error_report import ABORTED
from straced.commands.group import verb


@verb(
    "report",
    examples=(
        ("straced report trace.txt --html report.html", "what took the time, with pictures"),
        ("straced trace 4242 -d 10s | straced report -", "of a live process"),
    ),
)
@click.argument("file", metavar="FILE")
@click.option("--html", type=click.Path(path_type=Path), metavar="OUT", help="One self-contained page.")
@click.option("--perfetto", type=click.Path(path_type=Path), metavar="OUT", help="Trace for ui.perfetto.dev.")
@click.option("--ndjson", type=click.Path(path_type=Path), metavar="OUT", help="Every call as JSON, one per line.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="OUT", help="Every call as a row.")
@click.option("--parquet", type=click.Path(path_type=Path), metavar="DIR", help="Every call, by host and date.")
@click.option("--host", metavar="NAME", help="Host name stored with --parquet; default: this host.")
@click.option("--overwrite", is_flag=True, help="Replace these files if they exist.")
@click.option("--pid", "pids", type=click.IntRange(min=1), multiple=True, help="Only this process; may be repeated.")
@click.option("--syscall", "syscalls", multiple=True, metavar="NAME", help="Only this call; may be repeated.")
@click.option(
    "--since", metavar="TIME", help="Only from this time on: 12:30:01.5, 1790000000.5 or +12.5 (from the start)."
)
@click.option("--until", metavar="TIME", help="Only up to this time.")
@click.option("--path", metavar="GLOB", help="Only calls on paths like this: '*.so', or a piece of the path.")
@click.option("--counts", is_flag=True, help="Counts and times only: several times as fast.")
@click.option("--redact", is_flag=True, help="Leave out secrets, also in the files: passwords, tokens, keys, homes.")
@click.option("--jobs", type=click.IntRange(min=1), help="Number of worker processes; default: all cores.")
@options.json
@options.sort
@options.limit
@options.color
def command(
    file: str,
    html: Path | None,
    perfetto: Path | None,
    ndjson: Path | None,
    csv: Path | None,
    parquet: Path | None,
    host: str | None,
    overwrite: bool,
    pids: tuple[int, ...],
    syscalls: tuple[str, ...],
    since: str | None,
    until: str | None,
    path: str | None,
    counts: bool,
    redact: bool,
    jobs: int | None,
    as_json: bool,
    sort: str,
    limit: int | None,
    color: str,
) -> int:
    """Turn a trace into answers: what took time, what failed, which files, which processes, what stands out.

    FILE is any strace log (-f -t -tt -ttt -r -T -i -n -y -yy), also gzip or zstd; the prefix of strace -ff files; or -
    for standard input. What a form does not hold (no -T: no durations) is shown as - and said. Status 1 where a part of
    the file is damaged: that was left out.
    """
    from straced.traces.parsing.selection import TraceSelection
    from straced.traces.report.request import ReportRequest
    from straced.traces.values import DAMAGED
    from straced.views.text import terminal
    from straced.views.text.report import render
    from straced.workflows.report import Outputs, make

    request = ReportRequest(
        file=file,
        selection=TraceSelection(
            pids=frozenset(pids), syscalls=frozenset(syscalls), since=since, until=until, path=path
        ),
        counts_only=counts,
        jobs=jobs,
        redacted=redact,
        host=host,
    )
    outputs = Outputs(html=html, perfetto=perfetto, ndjson=ndjson, csv=csv, parquet=parquet, overwrite=overwrite)
    report = make(request, outputs, progress=sys.stderr if sys.stderr.isatty() else None)
    codes = {reason.code for reason in report.summary.quality.reasons}
    status = ABORTED if "interrupted" in codes else 1 if DAMAGED in codes else 0
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.to_dict()), indent=2).decode() + "\n")
        return status
    lines = render(report, sort=sort, limit=limit, width=terminal.width_of(sys.stdout))
    terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return status
