"""Summaries as a pure function of samples, so that live view, replay and report cannot disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import zip_longest
from operator import attrgetter
from typing import TypeVar

from msgspec import structs

from straced.model import histogram
from straced.model.counter_rows import CounterRows
from straced.model.sums import SUMMED, add_up
from straced.model.sums import known_sum as known_sum
from straced.model.types import Counters, Sample, SyscallStats, Total
from straced.syscalls import category

Number = TypeVar("Number", int, float)
SORT_KEYS = ("time", "working", "waiting", "calls", "errors", "max", "name")


def merge_rows(rows: Iterable[Counters]) -> list[Counters]:
    """Add rows of the same call and ABI up over processes and threads, as their container does it best."""
    return rows.merged() if isinstance(rows, CounterRows) else add_up(rows)


def difference(earlier: Sample | None, later: Sample) -> list[Counters]:
    """What happened between two samples of one session, rows added up by call and ABI.

    ``min_ns`` and ``max_ns`` of a later window are not known from cumulative counters: they are kept only
    when the window begins with the session (``earlier`` is ``None``), or the row is new.
    """
    after = merge_rows(later.rows)
    if earlier is None:
        return after
    before = {(row.abi, row.name): row for row in merge_rows(earlier.rows)}
    return [_subtract(row, before.get((row.abi, row.name))) for row in after]


def _subtract(after: Counters, before: Counters | None) -> Counters:
    if before is None:
        return after
    left = {}
    for name in SUMMED:
        new, old = getattr(after, name), getattr(before, name)
        left[name] = None if new is None or old is None else new - old
    errno = None
    if after.errno is not None and before.errno is not None:
        counts = {name: count - before.errno.get(name, 0) for name, count in after.errno.items()}
        errno = {name: count for name, count in counts.items() if count}
    buckets = None
    if after.histogram is not None and before.histogram is not None:
        buckets = tuple(a - b for a, b in zip_longest(after.histogram, before.histogram, fillvalue=0))
    return Counters(
        name=after.name,
        nr=after.nr,
        abi=after.abi,
        errno=errno,
        histogram=buckets,
        in_flight=after.in_flight,
        wall_error_ns=_subtract_error(after.wall_error_ns, before.wall_error_ns),
        **left,
    )


def _subtract_error(after: int | None, before: int | None) -> int | None:
    if after is None or before is None:
        return after
    return round(math.sqrt(max(after * after - before * before, 0)))


def time_ns(row: Counters | SyscallStats | Total, time: str) -> int | None:
    """The time a share is taken of: wall time, or the CPU time where that is what was measured."""
    return row.working_ns if time == "cpu" else row.wall_ns


def table(rows: Iterable[Counters], time: str) -> tuple[tuple[SyscallStats, ...], Total]:
    """Rows with shares and percentiles, most time first, and their sums. Rows in which nothing happened fall out."""
    kept = [row for row in rows if row.calls != 0 or row.in_flight or row.wall_ns]
    total = Total(
        **{
            name: known_sum(getattr(row, name) for row in kept) if kept else 0
            for name in ("calls", "errors", "wall_ns", "working_ns", "waiting_ns")
        }
    )
    if kept and all(map(_never_returned, kept)):
        total = structs.replace(total, wall_ns=None, working_ns=None, waiting_ns=None)
    whole = time_ns(total, time)
    stats = [
        SyscallStats(
            name=row.name,
            nr=row.nr,
            abi=row.abi or None,
            category=category(row.name),
            calls=row.calls,
            errors=row.errors,
            restarts=row.restarts,
            errno=row.errno,
            wall_ns=row.wall_ns,
            wall_error_ns=row.wall_error_ns,
            working_ns=row.working_ns,
            waiting_ns=row.waiting_ns,
            min_ns=row.min_ns,
            max_ns=row.max_ns,
            p50_ns=_percentile_ns(row, 0.5),
            p99_ns=_percentile_ns(row, 0.99),
            p999_ns=_percentile_ns(row, 0.999),
            time_pct=_share(time_ns(row, time), whole),
            in_flight=row.in_flight,
        )
        for row in (_without_time(row) if _never_returned(row) else row for row in kept)
    ]
    return sort_rows(stats, "time", time), total


def _never_returned(row: Counters) -> bool:
    """Whether no call of a row is known to have returned: such a row has no time, which is not 0."""
    return row.wall_ns == 0 and row.max_ns is None and row.wall_error_ns is None


def _without_time(row: Counters) -> Counters:
    return structs.replace(row, wall_ns=None, working_ns=None, waiting_ns=None)


def _percentile_ns(row: Counters, share: float) -> int | None:
    """Out of the buckets, but never beyond the shortest and the longest call where these are known."""
    found = None if row.histogram is None else histogram.percentile_ns(row.histogram, share)
    if found is None:
        return None
    found = found if row.min_ns is None else max(found, row.min_ns)
    return found if row.max_ns is None else min(found, row.max_ns)


def _share(part: int | None, whole: int | None) -> float | None:
    if part is None or whole is None:
        return None
    return 100.0 * part / whole if whole else 0.0


def sort_rows(rows: Iterable[SyscallStats], key: str, time: str = "wall") -> tuple[SyscallStats, ...]:
    """Sort for a reader: by one of ``SORT_KEYS``, largest first (names from a to z), unknown last."""
    if key == "name":
        return tuple(sorted(rows, key=attrgetter("name", "abi")))
    field = {
        "working": "working_ns",
        "waiting": "waiting_ns",
        "calls": "calls",
        "errors": "errors",
        "max": "max_ns",
    }.get(key, "working_ns" if time == "cpu" else "wall_ns")

    def rank(row: SyscallStats) -> tuple[int, int, str]:
        value = getattr(row, field)
        return (-(value if value is not None else -1), -(row.calls or 0), row.name)

    return tuple(sorted(rows, key=rank))
