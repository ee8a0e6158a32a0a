"""What happened in a span, from the roll-ups: step by step, by program, with what was slow, what failed, and alerts."""

from __future__ import annotations

import fnmatch
import time

from straced.errors import InvalidArgument
from straced.model.history import KeptAlert, KeptEvent
from straced.model.moment import Moment
from straced.store import events, latency
from straced.store.history import History
from straced.store.percentiles import slow_calls
from straced.store.span_reading import SpanReading

CLOCK = ("clock_set_back", "clock_leapt")
MOST_EVENTS = 1000
MOST_NAMED = 50
"""Programs, slow calls and failing calls."""


def moment(
    history: History,
    since: float,
    until: float | None = None,
    *,
    pid: int | None = None,
    name: str | None = None,
    job: str | None = None,
    limit: int = 20,
) -> Moment:
    """What happened from ``since`` to ``until``, to all, or to what is named.

    Raises:
        InvalidArgument: the span has not begun yet, or ends before it begins.
    """
    now = time.time()
    if since > now:
        raise InvalidArgument("the span is in the future", hint="write a time that has been")
    if until is not None and until <= since:
        raise InvalidArgument("the span ends before it begins")
    last_ms = int(now * 1000)
    end_ms = last_ms if until is None else min(int(until * 1000), last_ms)
    start_ms = max(0, int(since * 1000))
    _table, step = latency.table_for(start_ms, end_ms)
    start_ms = start_ms // step * step
    end_ms = min(-(-end_ms // step) * step, last_ms)
    reading = SpanReading(history, start_ms, end_ms, step, pid=pid, name=name, job=job)
    with history.at_once():
        reading.read()
    span = {"since": start_ms / 1000, "until": end_ms / 1000, "pid": pid, "job": job}
    happened = events.events(history, limit=MOST_EVENTS, **span)  # type: ignore[arg-type]
    alerts = events.alerts(history, **span)  # type: ignore[arg-type]
    first = history.connection.execute("select min(first_ms) from series").fetchone()[0]
    return Moment(
        start=start_ms / 1000,
        end=end_ms / 1000,
        step_s=step / 1000,
        steps=tuple(reading.moments(last_ms)),
        programs=tuple(reading.uses(limit)),
        failing=tuple(reading.failing(limit)),
        slow=tuple(slow_calls(reading.calls, limit)),
        alerts=tuple(each for each in alerts if _fits(each, name)),
        events=tuple(each for each in happened if _fits(each, name)),
        known=reading.known(),
        first=None if first is None else first / 1000,
        uncounted=len(reading.uncounted),
        lost=reading.lost,
        gaps_s=history.gaps_s(start_ms, end_ms),
        clock_set=any(event.kind in CLOCK for event in happened),
    )


def _fits(each: KeptEvent | KeptAlert, name: str | None) -> bool:
    """Whether it is about what was asked for; what is about the service is about all."""
    return name is None or each.pid is None or fnmatch.fnmatchcase(each.comm, name)
