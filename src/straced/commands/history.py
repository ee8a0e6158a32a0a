"""``straced history``: what did they do?"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.text import moments
from straced.views.text import terminal
from straced.views.text.history import answer_lines, report_lines
from straced.views.text.history_tables import timeline_lines, top_lines

HOUR_S = 3600.0
DAY_S = 86400.0
FOREVER_S = 10 * 365 * DAY_S
Asker = Callable[[Callable[[Any], Awaitable[Any]], Callable[[Any], Any]], Any]


@verb(
    "history",
    examples=(
        ("straced history", "the busiest processes of the last hour"),
        ("straced history 4242 --since 2h30m", "what this process did, dead or alive"),
        ("straced history build-42", "the resources of a job: peaks, calls, errors, alerts"),
        ("straced history name:nginx --since 7d --every 1h", "hour by hour"),
        ("straced history --at 08:12 --until 08:20", "what happened then, minute by minute"),
        ("straced history --by errors --since 1d", "who made most failing calls"),
        ("straced history --by p99 --since 1h", "whose calls became slower than in the hour before"),
        ("straced history --from /srv/straced --host 'web-*' --at 08:12", "what many hosts did then, by their exports"),
    ),
)
@click.argument("subject", required=False, metavar="[TARGET|JOB]")
@service_query.since
@click.option(
    "--at",
    "at",
    type=options.When(),
    metavar="TIME",
    help="What happened then: 08:12, 'yesterday 08:12', '2026-10-25 08:12'.",
)
@click.option("--until", type=options.When(), metavar="TIME", help="The end of --at; one minute by default.")
@click.option(
    "--every", "step_ns", type=options.Duration(), metavar="TIME", help="Time series with this step, at least 1m."
)
@click.option(
    "--by",
    type=click.Choice(("calls", "errors", "time", "cpu", "rss", "p99")),
    default="calls",
    help="Order of the busiest processes; p99: the calls of programs that became slower.",
)
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    help="Of many hosts, by what their services export into DIR, or a bucket (s3://...).",
)
@click.option("--host", "hosts", metavar="GLOB", help="With --from: of these hosts alone.")
@service_query.database
@options.json
@options.sort
@options.limit
@options.color
def command(
    subject: str | None,
    since_ns: int | None,
    at: str | None,
    until: str | None,
    step_ns: int | None,
    by: str,
    folder: str | None,
    hosts: str | None,
    database: Path | None,
    as_json: bool,
    sort: str,
    limit: int | None,
    color: str,
) -> int:
    """Show recorded history: of a process (pid or name:GLOB), of a job, or of the busiest processes.

    Spans begin with the minute, further back than a week with the hour; --at for more than an hour, too. Without a
    service, its file is read; with --db any other. Percentiles of --at leave out calls that wait for work (poll,
    accept, wait4, ...). With --from, the span is a day unless told otherwise: the last hour is not exported yet.
    """
    from straced.store import events

    _check(subject, since_ns, at, until, step_ns, by)
    if hosts is not None and folder is None:
        raise click.UsageError("--host needs --from DIR")
    if database is not None and folder is not None:
        raise click.UsageError("--db and --from are two places\ngive one of them")
    ask = _asker(folder, hosts, database)
    usual_s = HOUR_S if folder is None else DAY_S
    if at is not None or by == "p99":
        return _of_span(ask, usual_s, subject, since_ns, at, until, by, as_json=as_json, limit=limit, color=color)
    is_job = subject is not None and not subject.isdecimal() and ":" not in subject
    is_job = is_job or (subject or "").startswith("job:")
    start = service_query.moment(since_ns, FOREVER_S if is_job and folder is None else usual_s)
    chosen = service_query.select(subject, since=start, by=by, limit=limit or 1000, step_s=(step_ns or 0) / 1e9)
    names = {"pid": chosen.pid, "name": chosen.name, "job": chosen.job}
    width = terminal.width_of(sys.stdout)
    if subject is None:
        ranked = ask(
            lambda client: client.top(chosen),
            lambda history: history.top(start, by=by, limit=limit or 1000),
        )
        made: object = ranked
        lines = top_lines(ranked, width)
    elif step_ns is not None:
        points = ask(
            lambda client: client.timeline(chosen),
            lambda history: history.timeline(history.find(since=start, **names), start, None, chosen.step_s),
        )
        made, lines = points, timeline_lines(points, width)
    elif chosen.job is not None:
        report = ask(
            lambda client: client.report(chosen.job or "", start),
            lambda history: events.report(history, chosen.job or "", start),
        )
        made, lines = report, report_lines(report, sort=sort, limit=limit, width=width)
    else:
        answer = ask(
            lambda client: client.history(chosen),
            lambda history: history.answer(history.find(since=start, **names), start),
        )
        made, lines = answer, answer_lines(answer, sort=sort, limit=limit, width=width)
    if as_json:
        for each in made if isinstance(made, list) else [made]:
            sys.stdout.write(msgspec.json.encode(each).decode() + "\n")
    else:
        terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return 0


def _check(
    subject: str | None, since_ns: int | None, at: str | None, until: str | None, step_ns: int | None, by: str
) -> None:
    """Refuse options that do not go together."""
    if step_ns is not None and subject is None:
        raise click.UsageError(
            "--every needs a TARGET or JOB\nof all together, minute by minute: --at TIME --until TIME"
        )
    if at is not None and (since_ns is not None or step_ns is not None):
        raise click.UsageError("--at takes neither --since nor --every")
    if until is not None and at is None:
        raise click.UsageError("--until needs --at")
    if by == "p99" and subject is not None:
        raise click.UsageError("--by p99 is of all programs, without a TARGET")


def _asker(folder: str | None, hosts: str | None, database: Path | None) -> Asker:
    """Who answers: the service or its file, another file, or what many services have exported."""
    if folder is None:
        return functools.partial(service_query.ask_history, database=database)
    return lambda question, _of_file: service_query.ask_exports(folder, hosts, question)


def _of_span(
    ask: Asker,
    usual_s: float,
    subject: str | None,
    since_ns: int | None,
    at: str | None,
    until: str | None,
    by: str,
    *,
    as_json: bool,
    limit: int | None,
    color: str,
) -> int:
    """What happened in a span, or which calls became slower in it."""
    from straced.store import moment, percentiles
    from straced.views.text.moment import moment_lines, risen_lines

    notes: list[str] = []
    if at is not None:
        start, end, notes = moments.span(at, until, time.time())
    else:
        start, end = service_query.moment(since_ns, usual_s), time.time()
    chosen = service_query.select(subject, since=start, until=end, limit=limit or moment.MOST_NAMED)
    width = terminal.width_of(sys.stdout)
    if by == "p99":
        risen = ask(
            lambda client: client.risen(chosen),
            lambda history: percentiles.risen(history, start, end, limit=chosen.limit),
        )
        made: list[object] = [*risen]
        lines = risen_lines(risen, width)
    else:
        names = {"pid": chosen.pid, "name": chosen.name, "job": chosen.job}
        found = ask(
            lambda client: client.moment(chosen),
            lambda history: moment.moment(history, start, end, limit=chosen.limit, **names),  # type: ignore[arg-type]
        )
        made, lines = [found], moment_lines(found, subject, width, notes)
    if as_json:
        sys.stdout.writelines(msgspec.json.encode(each).decode() + "\n" for each in made)
    else:
        terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return 0
