"""Slow calls as the page shows them: those of a process, or of all, that history kept of a span."""

from __future__ import annotations

from typing import Any

from straced.model.frame import Key
from straced.model.slow_events import KINDS, of_events
from straced.store import events
from straced.store.history import History

SHOWN = 200
MOST_EVENTS = 1000
_SLACK_S = 5.0
"""A process is seen a moment after it began, and told of a moment after it ended."""


def slow_calls(history: History, key: Key | None, since: float, until: float, limit_ns: int | None) -> dict[str, Any]:
    """The calls of a span, the one that began last first.

    Args:
        history: where they are.
        key: of which process; ``None``: of all.
        since: the begin of the span.
        until: its end.
        limit_ns: what is slow now; ``None``: none are told now.
    """
    begin, end = since, until
    if key is not None:  # its pid may have been another's within the span
        found = history.find(pid=key[0], start_ticks=key[1], since=since, until=until)
        begin = max(since, min((each.first_s for each in found), default=until) - _SLACK_S)
        end = min(until, max((each.last_s for each in found), default=since) + _SLACK_S)
    pid = None if key is None else key[0]
    told = events.events(history, since=begin, until=end, pid=pid, kinds=KINDS[:1], limit=MOST_EVENTS)
    counted = events.events(history, since=since, until=until, kinds=KINDS[1:], limit=MOST_EVENTS)
    slow = of_events([*told, *counted], limit_ns or 0, SHOWN)
    return {
        "limit_ns": limit_ns,
        "untold": slow.untold,
        "calls": [
            {
                "pid": call.pid,
                "tid": call.tid,
                "thread": call.comm,
                "began": call.epoch_s,
                "start_ns": call.start_ns,
                "took_ns": call.duration_ns,
                "waiting_ns": call.waiting_ns,
                "inside": call.inside,
                "call": call.name,
                "errno": call.errno,
                "about": call.about,
                "text": call.call,
            }
            for call in slow.calls
        ],
    }
