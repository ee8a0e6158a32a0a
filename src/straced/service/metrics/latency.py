"""How long calls took, as classic histograms by job and class of call, and calls that took long, by program.

The bounds are powers of two of nanoseconds, which the histograms of the kernel programs have, too: no call is put into
a bucket that it may not belong to.
"""

from __future__ import annotations

from collections.abc import Iterator

from straced.model import histogram
from straced.model.durations import CallDurations, DurationBatch
from straced.service.metrics.exposition import OTHER, OTHERS, Family, Group, Labels, Line, labels_of
from straced.syscalls import category
from straced.syscalls.waiting import WAITS_FOR_WORK

FIRST, LAST = 10, 36
"""From 1 us to 69 s, as powers of two of nanoseconds."""
SLOW = 30
"""A slow call takes this power of two of nanoseconds at least: 1.07 s."""
LINES = LAST - FIRST + 4
"""Of one histogram."""
JobClass = tuple[str, str]


class LatencyTotals:
    """What returned since the service started.

    Args:
        max_series: bounds what there is of all; what goes beyond is added up as ``other``.
    """

    def __init__(self, max_series: int) -> None:
        self._max_histograms = max(1, max_series // LINES)
        self._max_groups = max_series
        self._made: dict[JobClass, CallDurations] = {}
        self._slow: dict[Group, int] = {}

    def add(self, batch: DurationBatch) -> None:
        """Add what returned since the batch before."""
        for each in batch.programs:
            for name, made in each.by_name.items():
                self._place((each.job, category(name))).add(made)
            slow = sum(_slow_in(made) for name, made in each.by_name.items() if name not in WAITS_FOR_WORK)
            group = each.job, each.program
            group = group if group in self._slow or len(self._slow) < self._max_groups else OTHERS
            self._slow[group] = self._slow.get(group, 0) + slow

    def _place(self, key: JobClass) -> CallDurations:
        if key not in self._made and len(self._made) >= self._max_histograms:
            key = OTHER, OTHER
        return self._made.setdefault(key, CallDurations(0, {}))

    def histograms(self) -> dict[Labels, CallDurations]:
        """What the histograms are made of, by their labels."""
        return {(("job", job), ("class", kind)): made for (job, kind), made in self._made.items()}

    def families(self) -> Iterator[Family]:
        """Both as families."""
        lines: list[Line] = []
        for labels, made in self.histograms().items():
            below, calls = _below(made), made.calls
            lines += [
                ("_bucket", (*labels, ("le", repr(2.0**power / 1e9))), below[power - FIRST])
                for power in range(FIRST, LAST + 1)
            ]
            lines.append(("_bucket", (*labels, ("le", "+Inf")), calls))
            lines += [("_count", labels, calls), ("_sum", labels, made.total_ns / 1e9)]
        words = "How long system calls took, those that returned; brought up to date every 15 s."
        yield "straced_syscall_duration_seconds", "histogram", words, lines
        slow: list[Line] = [("_total", labels_of(group), count) for group, count in self._slow.items()]
        words = "Calls that took 1.07 s or more, without those in which a program waits for work."
        yield "straced_slow_calls", "counter", words, slow


def _below(made: CallDurations) -> list[int]:
    """How many calls took less than each bound."""
    counts = [0] * (LAST - FIRST + 1)
    for bucket, count in made.buckets.items():
        power = max(FIRST, histogram.bounds(bucket)[1].bit_length() - 1 + (not _is_power(histogram.bounds(bucket)[1])))
        if power <= LAST:
            counts[power - FIRST] += count
    for place in range(1, len(counts)):
        counts[place] += counts[place - 1]
    return counts


def _is_power(number: int) -> bool:
    return number & (number - 1) == 0


def _slow_in(made: CallDurations) -> int:
    first = histogram.bucket(1 << SLOW)
    return sum(count for bucket, count in made.buckets.items() if bucket >= first)
