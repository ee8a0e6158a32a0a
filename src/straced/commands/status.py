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
        ("straced status", "is it running, what does it watch, what does it use?"),
        ("straced status --json", "for a program"),
    ),
)
@options.json
def command(as_json: bool) -> int:
    """Show service status: tracer, history, watched processes, resource usage. Exit status 6: no service."""
    import msgspec

    status = service_query.ask(lambda client: client.status())
    if as_json:
        click.echo(msgspec.json.encode(status).decode())
    else:
        click.echo("\n".join(lines(status)))
    return 0


def lines(status: Status) -> list[str]:
    """The status for people."""
    whose = "system-wide" if status.system else "this user only"
    age = format_ns(int((time.time() - status.started) * 1e9))
    counting = f"calls by {status.tracer}" if status.tracer else status.tracer_reason or "calls not counted"
    watched = f"{_many(status.watched, 'process', 'es')}, {_many(status.rules, 'rule')}"
    text = [
        f"service    {status.version}, {whose}, pid {status.pid}, up {age}",
        f"watches    {watched}, every {format_ns(status.interval_ns)}",
        f"counts     {counting}",
        f"history    {_history(status)}",
        *([f"export     {_export(status)}"] if status.export != "off" else []),
        *([f"records    {_records(status)}"] if status.records != "off" else []),
        *([f"traces     {status.recorded} recorded by eBPF now"] if status.recorded else []),
        f"clients    {status.clients}, with {status.sessions} sessions",
        f"alerts     {status.alerts_open} open",
    ]
    if status.host is not None:
        own = status.host.own
        missed = f", {_many(status.late_ticks, 'sample')} missed, {status.ticks} taken" if status.late_ticks else ""
        text.append(f"uses       {format_pct(own.cpu_pct)} CPU, {format_bytes(own.rss_bytes)}{missed}")
    if status.config_error:
        text.append(f"not in use {status.config_error}")
    return text


def _many(count: int, word: str, plural: str = "s") -> str:
    return f"{count} {word}{'' if count == 1 else plural}"


def _records(status: Status) -> str:
    kept = f", the last calls in {format_bytes(status.records_bytes)} of memory" if status.records_bytes else ""
    return status.records + kept


def _history(status: Status) -> str:
    if status.history == "off":
        return "off"
    words = f"{status.history}, {format_bytes(status.history_bytes)} in {status.history_path}"
    if status.history_dropped:
        words += f"; {status.history_dropped} samples were dropped"
    return f"{words}; the damaged file was moved to {status.history_moved}" if status.history_moved else words


def _export(status: Status) -> str:
    words = f"{status.export}: {status.export_error}" if status.export_error else status.export
    if status.export_waiting:
        words += f"; {_many(status.export_waiting, 'hour')} to be written"
    return words
