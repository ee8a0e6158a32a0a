"""``straced status``: how is the service?"""

from __future__ import annotations

import time

import click

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.ipc.messages import Status
from straced.text.units import format_bytes, format_ns, format_pct


@verb(
    "status",
    examples=(
        ("straced status", "is it there, what does it watch, what does it cost?"),
        ("straced status --json", "for a program"),
    ),
)
@options.json
def command(as_json: bool) -> int:
    """Say how the service is: its tracer, its history, what it watches and what it takes. Status 6: there is none."""
    import msgspec

    status = service_query.ask(lambda client: client.status())
    if as_json:
        click.echo(msgspec.json.encode(status).decode())
    else:
        click.echo("\n".join(lines(status)))
    return 0


def lines(status: Status) -> list[str]:
    """The status for people."""
    whose = "of the system" if status.system else "of this user"
    age = format_ns(int((time.time() - status.started) * 1e9))
    counting = f"calls by {status.tracer}" if status.tracer else status.tracer_reason or "calls are not counted"
    watched = f"{_many(status.watched, 'process', 'es')} by {_many(status.rules, 'rule')}"
    text = [
        f"service    {status.version}, {whose}, pid {status.pid}, for {age}",
        f"watches    {watched}, each {format_ns(status.interval_ns)}",
        f"counts     {counting}",
        f"history    {_history(status)}",
        f"clients    {status.clients}, with {status.sessions} sessions",
        f"alerts     {status.alerts_open} open",
    ]
    if status.host is not None:
        own = status.host.own
        late = f", {status.late_ticks} of {status.ticks} samples late" if status.late_ticks else ""
        text.append(f"takes      {format_pct(own.cpu_pct)} of a CPU, {format_bytes(own.rss_bytes)}{late}")
    if status.config_error:
        text.append(f"not taken  {status.config_error}")
    return text


def _many(count: int, word: str, plural: str = "s") -> str:
    return f"{count} {word}{'' if count == 1 else plural}"


def _history(status: Status) -> str:
    if status.history == "off":
        return "off"
    words = f"{status.history}, {format_bytes(status.history_bytes)} in {status.history_path}"
    if status.history_dropped:
        words += f"; {status.history_dropped} samples were dropped"
    return f"{words}; a broken one is at {status.history_moved}" if status.history_moved else words
