"""Events and alerts as text, one a line."""

from __future__ import annotations

import time

from straced.model.event_folding import COMINGS, SLOW_CALL, EventLine
from straced.model.history import KeptAlert, KeptEvent
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_span
from straced.views.text.spans import Line, Span

AT_ONCE = ("new_errno", "new_syscall")
"""Alerts of something that happened: how long they were open says nothing."""


def clock(epoch_s: float) -> str:
    """Local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def _at(host: str) -> str:
    return f"{scrub(host, 260)}: " if host else ""


def event_line(event: KeptEvent) -> Line:
    """An event on one line."""
    status = event.data.get("exit_status")
    end = "" if status is None else f" with {status}" if isinstance(status, int) and status >= 0 else ""
    why = event.data.get("why")
    killed = f", {why}" if isinstance(why, str) and why.startswith("killed") else ""
    return _line(event.time, event.kind, f"{_at(event.host)}{scrub(event.text, 300)}{end}{killed}")


def fold_line(line: EventLine) -> Line:
    """An event, or those that happened to the processes of one name, on one line."""
    if not line.is_folded:
        return event_line(line.last)
    last = line.last
    name = f"{_at(last.host)}{scrub(last.comm, 40)}"
    since = f"since {time.strftime('%H:%M:%S', time.localtime(line.since))}"
    job = f", job {scrub(last.job, 40)}" if last.job else ""
    if line.longest is not None:
        count, call = format_count(line.counts[SLOW_CALL]), scrub(str(last.data.get("call")), 32)
        longest = scrub(line.longest.text, 300)
        return _line(last.time, f"{SLOW_CALL}s", f"{name}: {count} slow {call} {since}{job}; the longest: {longest}")
    counts = ", ".join(f"{format_count(line.counts[kind])} {kind}" for kind in COMINGS if kind in line.counts)
    failed = f" ({format_count(line.failed)} of them not with 0)" if line.failed else ""
    return _line(last.time, "processes", f"{name}: {counts}{failed} {since}{job}")


def alert_line(alert: KeptAlert) -> Line:
    """An alert on one line."""
    lasted = "open" if alert.closed is None else f"for {format_span(int((alert.closed - alert.opened) * 1e9))}"
    until = "" if alert.kind in AT_ONCE and alert.closed is not None else f" ({lasted})"
    return _line(alert.opened, alert.kind, f"{_at(alert.host)}{scrub(alert.text, 300)}{until}", "bad")


def _line(epoch_s: float, kind: str, text: str, style: str = "") -> Line:
    return Span(f"{clock(epoch_s)}  ", "weak"), Span(f"{kind:<16} ", style), Span(text)
