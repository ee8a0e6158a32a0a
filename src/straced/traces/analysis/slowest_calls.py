"""The calls of a trace that took longest."""

from __future__ import annotations

import heapq

MOST = 25
_LONGEST = b"<9.999999>"
"""No plain duration is longer: more digits make it another text."""
_TEXT_BYTES = 400


class SlowestCalls:
    """Keeps the ``MOST`` slowest of the calls that are added."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, bytes, bytes, int | None]] = []
        """A heap of (duration in ns, minus the line number, pid and line, what its descriptor stands for,
        waiting in ns): of equal durations the first is kept."""
        self.floor = b"<0.000000>"
        """A call whose duration reads like this, or less, is not among them: plain durations sort as text."""

    def add(
        self, duration_ns: int, line: int, pid: bytes, text: bytes, about: bytes = b"", waiting_ns: int | None = None
    ) -> None:
        """Keep a call if it is among the slowest.

        Args:
            duration_ns: how long it took.
            line: the number of its line.
            pid: the pid as the line has it; empty where it has none.
            text: the line without its prefix.
            about: what the descriptor stands for that is its first argument; empty where that is not known.
            waiting_ns: how long of that its thread waited, where it is told.
        """
        row = (duration_ns, -line, pid + b" " + text[:_TEXT_BYTES], about, waiting_ns)
        if len(self.rows) < MOST:
            heapq.heappush(self.rows, row)
        elif row > self.rows[0]:
            heapq.heapreplace(self.rows, row)
        if len(self.rows) == MOST:
            lowest = self.rows[0][0]
            self.floor = b"<%d.%06d>" % (lowest // 10**9, lowest % 10**9 // 1000) if lowest < 10**10 else _LONGEST
