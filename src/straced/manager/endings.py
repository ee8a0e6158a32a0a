"""Summaries that nothing is left of: a strace of ours that somebody else killed, or that we had to kill."""

from __future__ import annotations

from straced.errors import TracerCrashed
from straced.manager import log_events
from straced.model.types import Summary


def lost(pid: int, summary: Summary) -> TracerCrashed | None:
    """Log and return why nothing is known of a target; ``None`` when something is."""
    if summary.quality.lost is not None or summary.rows:
        return None
    if (number := _signal_of(summary)) is not None:
        return crashed("strace_crashed", pid, number)
    error = TracerCrashed("strace did not stop; it was killed, and what it had counted is lost", pid=pid)
    log_events.warning("strace_detach_timeout", pid=pid, error=error.reason)
    return error


def crashed(event: str, pid: int, number: int) -> TracerCrashed:
    """Log and return that somebody else has ended a strace of ours."""
    reason = f"strace was killed by signal {number}, and what it knew is lost; the target runs on, untraced"
    log_events.warning(event, pid=pid, signal=number, error=reason)
    return TracerCrashed(reason, signal=number, hint="attach again", pid=pid)


def _signal_of(summary: Summary) -> int | None:
    _, found, number = (summary.end or "").partition("tracer_crashed(")
    return int(number.rstrip(")")) if found else None
