"""``straced status``: how is the service?"""

from __future__ import annotations

import sys
import time

import click

from straced.commands import options, service_query
from straced.commands.group import verb
from straced.ipc.messages import Status
from straced.text.sanitize import scrub
from straced.text.tracer_names import tracer_name
from straced.text.units import count_of, format_bytes, format_pct, format_span
from straced.views.text import terminal
from straced.views.text.spans import Line, Span


@verb(
    "status",
    examples=(
        ("straced status", "is it running, what does it watch, what does it use?"),
        ("straced status --json", "for a program"),
    ),
)
@options.json
@options.color
def command(as_json: bool, color: str) -> int:
    """Show service status: tracer, history, watched processes, resource usage. Exit status 6: no service."""
    import msgspec

    status = service_query.ask(lambda client: client.status())
    if as_json:
        click.echo(msgspec.json.encode(status).decode())
    else:
        terminal.show(lines(status), sys.stdout, color=options.use_color(sys.stdout, color))
    return 0


def lines(status: Status) -> list[Line]:
    """The status for people."""
    whose = "system-wide" if status.system else "this user only"
    age = format_span(int((time.time() - status.started) * 1e9))
    counting = f"calls by {tracer_name(status.tracer)}" if status.tracer else status.tracer_reason or "nothing"
    watched = f"{_many(status.watched, 'process', 'es')}, {_many(status.rules, 'rule')}"
    idle = "" if status.rules else "; to watch something: straced watch add TARGET"
    facts = [
        ("service", f"{status.version}, {whose}, pid {status.pid}, up {age}", ""),
        ("watches", f"{watched}, every {status.interval_ns / 1e9:g} s{idle}", ""),
        ("counts", counting, "" if status.tracer else "bad"),
        ("history", _history(status), "bad" if status.history_dropped or status.history_moved else ""),
    ]
    if status.export != "off":
        facts.append(("export", _export(status), "bad" if status.export_error else ""))
    if status.records != "off":
        facts.append(("records", _records(status), ""))
    if status.recorded:
        facts.append(("traces", f"{status.recorded} recorded by eBPF now", ""))
    facts.append(("clients", f"{status.clients}, with {_many(status.sessions, 'session')}", ""))
    opened = f"{status.alerts_open} open"
    facts.append(("alerts", f"{opened}: straced events --alerts" if status.alerts_open else opened, ""))
    if status.host is not None:
        own = status.host.own
        missed = f", {_many(status.late_ticks, 'sample')} missed, {status.ticks} taken" if status.late_ticks else ""
        facts.append(("uses", f"{format_pct(own.cpu_pct)} CPU, {format_bytes(own.rss_bytes)}{missed}", ""))
    if status.config_error:
        facts.append(("not in use", status.config_error, "bad"))
    return [(Span(f"{name:<11}", "weak"), Span(scrub(text), style)) for name, text, style in facts]


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
        words += f"; {count_of(status.history_dropped, 'sample was', 'samples were')} dropped"
    return f"{words}; the damaged file was moved to {status.history_moved}" if status.history_moved else words


def _export(status: Status) -> str:
    words = f"{status.export}: {status.export_error}" if status.export_error else status.export
    if status.export_waiting:
        words += f"; {_many(status.export_waiting, 'hour')} to be written"
    return words
