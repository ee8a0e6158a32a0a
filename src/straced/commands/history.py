"""``straced history``: what did they do?"""

from __future__ import annotations

import sys

import click
import msgspec

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.views.text import terminal
from straced.views.text.history import answer_lines, report_lines, timeline_lines, top_lines

HOUR_S = 3600.0
FOREVER_S = 10 * 365 * 86400.0


@verb(
    "history",
    examples=(
        ("straced history", "the busiest processes of the last hour"),
        ("straced history 4242 --since 2h30m", "what this process did, dead or alive"),
        ("straced history build-42", "the resources of a job: peaks, calls, errors, alerts"),
        ("straced history name:nginx --since 7d --every 1h", "hour by hour"),
    ),
)
@click.argument("subject", required=False, metavar="[TARGET|JOB]")
@service_query.since
@click.option(
    "--every", "step_ns", type=options.Duration(), metavar="TIME", help="Time series with this step, at least 1m."
)
@click.option(
    "--by",
    type=click.Choice(("calls", "errors", "time", "cpu", "rss")),
    default="calls",
    help="Order of the busiest processes.",
)
@options.json
@options.sort
@options.limit
@options.color
def command(
    subject: str | None,
    since_ns: int | None,
    step_ns: int | None,
    by: str,
    as_json: bool,
    sort: str,
    limit: int | None,
    color: str,
) -> int:
    """Show recorded history: of a process (pid or name:GLOB), of a job, or of the busiest processes.

    Spans begin with the minute, further back than a week with the hour. Without a service, its file is read.
    """
    from straced.store import events

    is_job = subject is not None and not subject.isdecimal() and ":" not in subject
    is_job = is_job or (subject or "").startswith("job:")
    start = service_query.moment(since_ns, FOREVER_S if is_job else HOUR_S)
    chosen = service_query.select(subject, since=start, by=by, limit=limit or 1000, step_s=(step_ns or 0) / 1e9)
    names = {"pid": chosen.pid, "name": chosen.name, "job": chosen.job}
    width = terminal.width_of(sys.stdout)
    if subject is None:
        ranked = service_query.ask_history(
            lambda client: client.top(chosen),
            lambda history: history.top(start, by=by, limit=limit or 1000),
        )
        made: object = ranked
        lines = top_lines(ranked, width)
    elif step_ns is not None:
        points = service_query.ask_history(
            lambda client: client.timeline(chosen),
            lambda history: history.timeline(history.find(since=start, **names), start, None, chosen.step_s),  # type: ignore[arg-type]
        )
        made, lines = points, timeline_lines(points)
    elif chosen.job is not None:
        report = service_query.ask_history(
            lambda client: client.report(chosen.job or "", start),
            lambda history: events.report(history, chosen.job or "", start),
        )
        made, lines = report, report_lines(report, sort=sort, limit=limit, width=width)
    else:
        answer = service_query.ask_history(
            lambda client: client.history(chosen),
            lambda history: history.answer(history.find(since=start, **names), start),  # type: ignore[arg-type]
        )
        made, lines = answer, answer_lines(answer, sort=sort, limit=limit, width=width)
    if as_json:
        for each in made if isinstance(made, list) else [made]:
            sys.stdout.write(msgspec.json.encode(each).decode() + "\n")
    else:
        terminal.show(lines, sys.stdout, color=options.use_color(sys.stdout, color))
    return 0
