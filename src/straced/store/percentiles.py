"""Percentiles of calls out of the database: of each program, and which of them rose."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypedDict

from straced.model.durations import CallDurations, together
from straced.model.moment import CallLatency
from straced.store import latency
from straced.store.history import History
from straced.store.latency import ByName, Program
from straced.store.rollup import HOUR_MS
from straced.syscalls.waiting import WAITS_FOR_WORK

MOST = 50
"""Slow calls that are named."""
FEWEST = 20
"""Calls, in both spans, of which a 99th percentile is compared."""
Call = tuple[str, str, str]
"""Job, program and call."""


def working(parts: Iterable[ByName]) -> CallDurations:
    return together(made for by_name in parts for name, made in by_name.items() if name not in WAITS_FOR_WORK)


class PercentileFields(TypedDict):
    """Fields that several values have."""

    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None


def percentiles(made: CallDurations) -> PercentileFields:
    """As fields; null where nothing is known."""
    return {
        "p50_ns": made.percentile_ns(0.5),
        "p99_ns": made.percentile_ns(0.99),
        "max_ns": made.slowest_ns or None,
    }


def by_call(steps: Iterable[dict[Program, ByName]]) -> dict[Call, CallDurations]:
    """Durations by job, program and call, without those that wait for work."""
    found: dict[Call, list[CallDurations]] = {}
    for programs in steps:
        for (job, program), by_name in programs.items():
            for name, made in by_name.items():
                if name not in WAITS_FOR_WORK:
                    found.setdefault((job, program, name), []).append(made)
    return {call: together(parts) for call, parts in found.items()}


def slow_calls(found: dict[Call, CallDurations], limit: int) -> list[CallLatency]:
    """The calls of which one took longest."""
    slowest = sorted(found, key=lambda key: -found[key].slowest_ns)[: min(limit, MOST)]
    return [
        CallLatency(job=job, program=program, syscall=name, calls=found[key].calls, **percentiles(found[key]))
        for key in slowest
        for job, program, name in [key]
    ]


def risen(history: History, since: float, until: float | None = None, *, limit: int = 20) -> list[CallLatency]:
    """The calls of programs whose 99th percentile rose most against the time of the same length before.

    Args:
        history: the database, for one who asks.
        since, until: the span.
        limit: how many.
    """
    end = min(time.time(), until if until is not None else time.time())
    start_ms, end_ms = int(since * 1000), int(end * 1000)
    step = latency.table_for(start_ms, end_ms)[1]
    start_ms = start_ms // step * step
    length = -(-(end_ms - start_ms) // step) * step
    now = by_call(latency.read(history, start_ms, end_ms).values())
    before = by_call(latency.read(history, start_ms - length, start_ms, long=step == HOUR_MS).values())
    found: list[tuple[float, CallLatency]] = []
    for key, made in now.items():
        known = before.get(key)
        p99, p99_before = made.percentile_ns(0.99), None if known is None else known.percentile_ns(0.99)
        if p99 is None or p99_before is None or known is None or p99 <= p99_before:
            continue
        if min(made.calls, known.calls) < FEWEST:
            continue
        job, program, name = key
        call = CallLatency(
            job=job, program=program, syscall=name, calls=made.calls, p99_before_ns=p99_before, **percentiles(made)
        )
        found.append((p99 / max(1, p99_before), call))
    return [call for _ratio, call in sorted(found, key=lambda item: -item[0])[: min(limit, MOST)]]
