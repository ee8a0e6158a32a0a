"""What moves from the row of ``restart_syscall`` to the rows of the calls that it went on with."""

from __future__ import annotations

from collections import Counter

from straced.model import histogram

Pieces = tuple[int | None, int | None]
"""How long a call took until it was interrupted first, and in all its restart_syscalls together, ns. ``None``: not
known (it began before the trace), and none so far."""


class ResumedRow:
    """What one call of one task gains."""

    __slots__ = ("calls", "errno", "max_ns", "min_ns", "ns", "removed", "removed_min_ns", "whole")

    def __init__(self) -> None:
        self.calls = 0
        """Lines of restart_syscall that are this call's."""
        self.ns = 0
        self.errno: Counter[str] = Counter()
        self.whole = 0
        """Calls that were put together of pieces,"""
        self.removed = 0
        """out of so many timed pieces in the row of this name,"""
        self.removed_min_ns: int | None = None
        """the shortest of which took this long."""
        self.min_ns: int | None = None
        self.max_ns: int | None = None


class ResumedSums:
    """The sums of all calls that were resumed, by task and name."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], ResumedRow] = {}
        self.buckets: dict[str, Counter[int]] = {}
        """By name, what is to be added to its histogram."""

    def _row(self, tid: int, name: str) -> ResumedRow:
        return self.rows.setdefault((tid, name), ResumedRow())

    def begin(self, tid: int, name: str) -> None:
        """A restart_syscall went on with a call."""
        self._row(tid, name).calls += 1

    def fail(self, tid: int, name: str, errno: str) -> None:
        """It ended in an errno."""
        self._row(tid, name).errno[errno] += 1

    def piece(self, duration_ns: int) -> None:
        """One restart_syscall, which took so long, is a piece of another call."""
        self._bucket("restart_syscall", duration_ns, -1)

    def _bucket(self, name: str, duration_ns: int, count: int) -> None:
        self.buckets.setdefault(name, Counter())[histogram.bucket(duration_ns)] += count

    def close(self, tid: int, name: str, pieces: Pieces) -> None:
        """A call is over."""
        first, later = pieces
        if later is None:
            return
        row = self._row(tid, name)
        row.ns += later
        if first is not None:
            self._bucket(name, first, -1)
            row.removed += 1
            row.removed_min_ns = first if row.removed_min_ns is None else min(row.removed_min_ns, first)
        whole = later + (first or 0)
        self._bucket(name, whole, 1)
        row.whole += 1
        row.max_ns = whole if row.max_ns is None else max(row.max_ns, whole)
        row.min_ns = whole if row.min_ns is None else min(row.min_ns, whole)
