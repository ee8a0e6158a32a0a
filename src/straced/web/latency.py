"""How long one call of a process's program took, minute by minute: what the chart of latency is drawn from."""

from __future__ import annotations

from typing import Any

from straced.model import histogram
from straced.model.durations import CallDurations
from straced.model.frame import Key
from straced.store import latency
from straced.store.history import History
from straced.web.process_detail import Bars

MOST_STEPS = 240
"""Of a chart; minutes, or hours, are put together where there would be more."""


def latency_of(history: History, key: Key, call: str, since: float, until: float) -> dict[str, Any] | None:
    """Percentiles and buckets of each step; ``None`` where the process is not known.

    History keeps durations by program and job, not by process: the answer names both.
    """
    found = history.find(pid=key[0], start_ticks=key[1], since=since, until=until)  # the newest first
    series = next((each for each in found if each.kind == "process"), None)
    if series is None:
        return None
    job = series.labels.get("job", "")
    start, end = int(since * 1000), int(until * 1000)
    finest = latency.table_for(start, end)[1]
    step = finest * max(1, -(-(end - start) // (finest * MOST_STEPS)))
    steps: dict[int, CallDurations] = {}
    for ts, programs in latency.read(history, start, end, job=job).items():
        made = programs.get((job, series.program), {}).get(call)
        if made is not None:
            steps.setdefault(ts // step * step, CallDurations(0, {})).add(made)
    return {
        "program": series.program,
        "job": job,
        "step_s": step / 1000,
        "points": [_point(ts / 1000, steps[ts]) for ts in sorted(steps)],
    }


def _point(time: float, made: CallDurations) -> dict[str, Any]:
    bars: Bars = [(*histogram.bounds(bucket), made.buckets[bucket]) for bucket in sorted(made.buckets)]
    return {
        "time": time,
        "calls": made.calls,
        "p50_ns": made.percentile_ns(0.5),
        "p99_ns": made.percentile_ns(0.99),
        "max_ns": made.slowest_ns or None,
        "bars": bars,
    }
