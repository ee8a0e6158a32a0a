"""Waits for locks: of files, and of futexes in the memory of a process."""

from __future__ import annotations

MOST_LOCKS = 20_000


class LockWaits:
    """The sums of each lock, at most ``MOST_LOCKS`` of them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes], list[int]] = {}
        """(pid, futex address), or (-1, path) of a file lock -> waits, their ns, the longest one's ns, its line;
        how long the thread was off the CPU in them, and of how many that is not known."""

    def add(self, pid: int, what: bytes, ns: int | None, waiting_ns: int | None, line: int) -> None:
        """Count one wait."""
        row = self.rows.get((pid, what))
        if row is None:
            if len(self.rows) >= MOST_LOCKS:
                return
            row = self.rows[pid, what] = [0, 0, -1, line, 0, 0]
        row[0] += 1
        if ns is not None:
            row[1] += ns
            row[4] += waiting_ns or 0
            row[5] += waiting_ns is None
            if ns > row[2]:
                row[2], row[3] = ns, line
