"""``straced events``: what did the service see happen?"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import click
import msgspec

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.commands.output import note
from straced.concurrency import stopping
from straced.ipc.messages import Nothing, SubscribeParams
from straced.model.event_folding import EventLine, folded
from straced.model.history import KeptAlert, KeptEvent
from straced.text.sanitize import scrub
from straced.views.text import terminal
from straced.views.text.events import alert_line, clock, event_line, fold_line

if TYPE_CHECKING:
    from pathlib import Path

    from straced.client.notifications import News
    from straced.ipc.messages import Select

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
@click.option("--each", is_flag=True, help="Each coming, going and slow call, not a line for those of one name.")
@service_query.database
@options.json
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Maximum number of events."
)
@options.color
def command(
    subject: str | None,
    since_ns: int | None,
    go_on: bool,
    alerts_only: bool,
    slow_only: bool,
    each: bool,
    database: Path | None,
    as_json: bool,
    limit: int,
    color: str,
) -> int:
    """Show events and alerts, the newest last; what happened to processes of one name often is one line."""
    from straced.store import events as journal

    if database is not None and go_on:
        raise click.UsageError("a file has nothing to follow\ngive --db or --follow")
    show = functools.partial(_show, as_json, color)
    start = service_query.moment(since_ns, DAY_S)
    folds = not (each or as_json)
    kinds = SLOW_CALLS if slow_only else ()
    most = journal.MAX_EVENTS if folds else limit
    chosen = service_query.select(subject, since=start, limit=most, kinds=kinds)
    only = {"since": start, "pid": chosen.pid, "job": chosen.job, "limit": chosen.limit}
    alerts = service_query.ask_history(
        lambda client: client.alerts(chosen),
        lambda history: journal.alerts(history, **only),  # type: ignore[arg-type]
        database,
    )
    events: list[KeptEvent] = []
    if not alerts_only:
        events = service_query.ask_history(
            lambda client: client.events(chosen),
            lambda history: journal.events(history, kinds=kinds, **only),  # type: ignore[arg-type]
            database,
        )
    if slow_only:
        alerts = [alert for alert in alerts if alert.kind in SLOW_CALLS]
    lines = [*(folded(events, slow=not slow_only) if folds else events), *alerts]
    for line in sorted(lines, key=_when)[-limit:]:
        show(line)
    if not (lines or go_on or as_json):
        about = f" of {scrub(subject, 60)}" if subject else ""
        note(f"nothing happened{about} since {clock(start)}; what is watched: straced watch ls")
    if go_on:
        last = max((event.id for event in events), default=0)
        later = msgspec.structs.replace(chosen, after=last, limit=journal.MAX_EVENTS)
        stopping.cancelled_by_ctrl_c(_follow(later, {*map(_key, alerts)}, alerts_only, show))
    return 0


def _when(line: EventLine | KeptEvent | KeptAlert) -> float:
    if isinstance(line, EventLine):
        return line.last.time
    return line.opened if isinstance(line, KeptAlert) else line.time


def _show(as_json: bool, color: str, line: EventLine | KeptEvent | KeptAlert) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()
        return
    if isinstance(line, EventLine):
        told = fold_line(line)
    else:
        told = alert_line(line) if isinstance(line, KeptAlert) else event_line(line)
    terminal.show([told], sys.stdout, color=options.use_color(sys.stdout, color))


async def _follow(
    chosen: Select, shown: set[Hashable], alerts_only: bool, show: Callable[[KeptEvent | KeptAlert], None]
) -> None:
    """Show what comes, after what came since history was shown: each once, whichever of the two tells it.

    Args:
        chosen: of which processes, and after which event.
        shown: alerts as they were shown.
        alerts_only: no events.
        show: what shows one of them.
    """
    from straced.client.client import Client

    topics = ("alerts",) if alerts_only else ("alerts", "events")
    async with Client() as client:
        await client.request("subscribe", SubscribeParams(topics=topics), Nothing)
        missed: list[KeptEvent | KeptAlert] = [] if alerts_only else [*await client.events(chosen)]
        missed += await client.alerts(chosen)
        for each in sorted(missed, key=_when):
            if _key(each) not in shown and _is_wanted(each, chosen):
                show(each)
        shown |= {*map(_key, missed)}
        async for news in client.news(*topics):
            line = _line(news)
            if line is not None and _is_wanted(line, chosen) and _key(line) not in shown:
                show(line)


def _line(news: News) -> KeptEvent | KeptAlert | None:
    """What history will have of it; ``None`` of what is neither an event nor an alert."""
    from straced.model.alerts import AlertRow
    from straced.model.tick import ServiceEvent

    if isinstance(news, ServiceEvent):
        return KeptEvent(
            id=0,
            time=_kept_s(news.epoch_s),
            kind=news.kind,
            text=news.text,
            pid=news.pid,
            comm=news.comm,
            labels=news.labels,
            data=news.data,
        )
    if isinstance(news, AlertRow):
        return KeptAlert(
            id=news.id,
            kind=news.kind,
            subject=news.subject,
            text=news.text,
            opened=_kept_s(news.opened_s),
            updated=_kept_s(news.updated_s),
            closed=None if news.closed_s is None else _kept_s(news.closed_s),
            pid=news.pid,
            comm=news.comm,
            job=news.job,
            data=news.data,
        )
    return None


def _kept_s(epoch_s: float) -> float:
    """A time as history has it, to the millisecond."""
    return int(epoch_s * 1000) / 1000


def _key(line: KeptEvent | KeptAlert) -> Hashable:
    """Which one it is, and in which state."""
    if isinstance(line, KeptAlert):
        return line.id, line.updated, line.closed
    return line.time, line.kind, line.pid, line.text


def _is_wanted(line: KeptEvent | KeptAlert, chosen: Select) -> bool:
    job = line.job if isinstance(line, KeptAlert) else line.labels.get("job")
    kind_fits = not chosen.kinds or line.kind in chosen.kinds
    return kind_fits and chosen.pid in (None, line.pid) and chosen.job in (None, job)
