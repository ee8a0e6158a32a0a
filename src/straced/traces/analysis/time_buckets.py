"""Counts the lines of each task in equal steps of time, for the time line of a report."""

from __future__ import annotations

import heapq
import re
from collections import Counter

from straced.traces.parsing.line_format import Form

TICK_KEYS = 40_000
MOST_TASKS = 2_000


class TimeBuckets:
    """Counts blocks of whole lines that begin and end with a newline, in any order."""

    def __init__(self, form: Form) -> None:
        pid = form.prefix(clock=False).split(rb" *[0-9:.]", 1)[0]
        when = pid + rb" *([0-9:]+(?:\.\d\d?)?)"
        self._parts = re.compile(when)
        self._whole = re.compile(rb"\n(" + re.sub(rb"\((?!\?)", b"(?:", when) + rb")[^\n]*")
        self.counts: dict[tuple[int, bytes], int] = {}
        """By task and clock, cut to a hundredth of a second or coarser."""

    @classmethod
    def of(cls, form: Form) -> TimeBuckets | None:
        """New ticks, unless lines of this form have no clock of their own."""
        return cls(form) if form.clock in ("epoch", "day") and not form.comm else None

    def rows(self) -> list[tuple[int, bytes, int]]:
        """Task, clock, lines."""
        return [(*key, count) for key, count in self.counts.items()]

    def feed(self, block: bytes) -> None:
        """Count the lines of one block."""
        counts, parts = self.counts, self._parts.fullmatch
        for text, count in Counter(self._whole.findall(block)).items():  # few of them differ
            match = parts(text)
            if match is not None:
                key = (int(match[1] or 0), match[2])
                counts[key] = counts.get(key, 0) + count
        self.limit()

    def limit(self) -> None:
        """Take coarser steps when there are too many."""
        if len(self.counts) > TICK_KEYS:
            self._coarser()

    def _coarser(self) -> None:
        """Make the steps ten times longer; with too many tasks for that, keep those with the most lines."""
        ticks, self.counts = self.counts, {}
        longest = max(len(clock) for _, clock in ticks)
        cut = 1 if longest > 1 else 0
        lines: Counter[int] = Counter()
        for (tid, _), count in ticks.items():
            lines[tid] += count
        if len(lines) > MOST_TASKS:
            kept = set(heapq.nsmallest(MOST_TASKS // 2, lines, key=lambda tid: (-lines[tid], tid)))
            ticks = {key: count for key, count in ticks.items() if key[0] in kept}
        for (tid, clock), count in ticks.items():
            key = (tid, clock[: longest - cut])
            self.counts[key] = self.counts.get(key, 0) + count
