"""``straced events``: what did the service see happen?"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import msgspec

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.concurrency import stopping
from straced.model.event_folding import EventLine, folded
from straced.model.history import KeptAlert, KeptEvent
from straced.views.text.history import alert_text, event_text, fold_text

DAY_S = 86400.0
SLOW_CALLS = ("slow_call", "slow_calls")


@verb(
    "events",
    examples=(
        ("straced events --since 1h", "processes started and exited, and alerts"),
        ("straced events -f", "and follow new ones"),
        ("straced events --slow postgres", "calls of a job that took long, with their file or peer"),
    ),
)
@click.argument("subject", required=False, metavar="[TARGET|JOB]")
@service_query.since
@click.option("-f", "--follow", "go_on", is_flag=True, help="Follow new events until Ctrl-C.")
@click.option("--alerts", "alerts_only", is_flag=True, help="Only alerts.")
@click.option("--slow", "slow_only", is_flag=True, help="Only slow calls, each with its file or peer.")
@click.option("--each", is_flag=True, help="Each process that came or went, not a line for those of one name.")
@options.json
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Maximum number of events."
)
def command(
    subject: str | None,
    since_ns: int | None,
    go_on: bool,
    alerts_only: bool,
    slow_only: bool,
    each: bool,
    as_json: bool,
    limit: int,
) -> int:
    """Show events and alerts, the newest last; comings and goings of processes of one name are one line."""
    from straced.store import events as journal

    start = service_query.moment(since_ns, DAY_S)
    folds = not (each or as_json)
    kinds = SLOW_CALLS if slow_only else ()
    most = journal.MAX_EVENTS if folds else limit
    chosen = service_query.select(subject, since=start, limit=most, kinds=kinds)
    only = {"since": start, "pid": chosen.pid, "job": chosen.job, "limit": chosen.limit}
    alerts = service_query.ask_history(
        lambda client: client.alerts(chosen),
        lambda history: journal.alerts(history, **only),  # type: ignore[arg-type]
    )
    events: list[KeptEvent] = []
    if not alerts_only:
        events = service_query.ask_history(
            lambda client: client.events(chosen),
            lambda history: journal.events(history, kinds=kinds, **only),  # type: ignore[arg-type]
        )
    if slow_only:
        alerts = [alert for alert in alerts if alert.kind in SLOW_CALLS]
    lines = [*(folded(events) if folds else events), *alerts]
    for line in sorted(lines, key=_when)[-limit:]:
        _show(line, as_json)
    if go_on:
        stopping.cancelled_by_ctrl_c(_follow(chosen.pid, chosen.job, alerts_only, as_json, kinds))
    return 0


def _when(line: EventLine | KeptEvent | KeptAlert) -> float:
    if isinstance(line, EventLine):
        return line.last.time
    return line.opened if isinstance(line, KeptAlert) else line.time


def _show(line: EventLine | KeptEvent | KeptAlert, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    elif isinstance(line, EventLine):
        sys.stdout.write(fold_text(line) + "\n")
    else:
        sys.stdout.write((alert_text(line) if isinstance(line, KeptAlert) else event_text(line)) + "\n")
    sys.stdout.flush()


async def _follow(
    pid: int | None, job: str | None, alerts_only: bool, as_json: bool, kinds: Sequence[str] = ()
) -> None:
    from straced.client.client import Client
    from straced.model.alerts import AlertRow
    from straced.model.tick import ServiceEvent

    topics = ("alerts",) if alerts_only else ("alerts", "events")
    async with Client() as client:
        async for news in client.news(*topics):
            if kinds and isinstance(news, (ServiceEvent, AlertRow)) and news.kind not in kinds:
                continue
            if isinstance(news, ServiceEvent) and _wanted(news.pid, news.labels.get("job"), pid, job):
                event = KeptEvent(
                    id=0,
                    time=news.epoch_s,
                    kind=news.kind,
                    text=news.text,
                    pid=news.pid,
                    comm=news.comm,
                    labels=news.labels,
                    data=news.data,
                )
                _show(event, as_json)
            elif isinstance(news, AlertRow) and _wanted(news.pid, news.job, pid, job):
                alert = KeptAlert(
                    id=news.id,
                    kind=news.kind,
                    subject=news.subject,
                    text=news.text,
                    opened=news.opened_s,
                    updated=news.updated_s,
                    closed=news.closed_s,
                    pid=news.pid,
                    comm=news.comm,
                    job=news.job,
                    data=news.data,
                )
                _show(alert, as_json)


def _wanted(pid: int | None, job: str | None, wanted_pid: int | None, wanted_job: str | None) -> bool:
    return wanted_pid in (None, pid) and wanted_job in (None, job)
