"""Calls, errors, bytes and times of each path, socket and pipe; beyond a limit the smallest rows are merged."""

from __future__ import annotations

OTHER = b"(all other paths)"
MOST_PATHS = 20_000
MOST_OF_EACH = 1_000
OTHER_PID = -1
TINY_BYTES = 512
"""A smaller transfer is tiny: the call costs more than the copy."""


class PathStats:
    """The sums of one path."""

    __slots__ = (
        "by", "empty", "errno", "errors", "in_bytes", "line", "opens", "out_bytes", "sync_ns", "sync_waiting_ns",
        "syncs", "tiny", "tiny_bytes", "tiny_ns", "tiny_waiting_ns", "transfers", "untold",
    )  # fmt: skip

    def __init__(self, line: int) -> None:
        self.line = line
        """The number of the line where the path was first met."""
        self.by: dict[tuple[int, str], list[int]] = {}
        """(pid, call) -> [calls, time in ns, the longest, the waiting in that time]."""
        self.errors = 0
        self.in_bytes = 0
        self.out_bytes = 0
        self.opens = 0
        self.transfers = 0
        self.tiny = 0
        self.tiny_bytes = 0
        self.tiny_ns = 0
        self.tiny_waiting_ns = 0
        self.empty = 0
        self.syncs = 0
        self.sync_ns = 0
        self.sync_waiting_ns = 0
        self.untold = 0
        """Timed calls whose waiting is not known."""
        self.errno: dict[bytes, int] | None = None

    @property
    def count(self) -> int:
        return sum(count for count, *_ in self.by.values())

    @property
    def ns(self) -> int:
        return sum(ns for _, ns, *_ in self.by.values())

    @property
    def waiting_ns(self) -> int:
        """Of the calls that tell it."""
        return sum(waiting for *_, waiting in self.by.values())

    @property
    def calls(self) -> dict[str, int]:
        calls: dict[str, int] = {}
        for (_, name), (count, *_) in self.by.items():
            calls[name] = calls.get(name, 0) + count
        return calls

    def add(self, other: PathStats) -> None:
        for name in self.__slots__:
            if name not in ("errno", "by", "line"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
        for key, (count, ns, longest, waiting) in other.by.items():
            if key not in self.by and len(self.by) >= MOST_OF_EACH:
                key = (OTHER_PID, key[1])
            mine = self.by.setdefault(key, [0, 0, 0, 0])
            mine[0] += count
            mine[1] += ns
            mine[2] = max(mine[2], longest)
            mine[3] += waiting
        for errno, count in (other.errno or {}).items():
            self.errno = self.errno or {}
            self.errno[errno] = self.errno.get(errno, 0) + count


class FileRows:
    """The sums of all paths, at most ``MOST_PATHS`` of them."""

    def __init__(self) -> None:
        self.rows: dict[bytes, PathStats] = {}
        self.folded = 0
        """Paths that were added to ``OTHER``; a path may come back, so their number is an upper bound."""
        self.pid = 0
        """The pid of the process that the next call belongs to."""
        self.waiting_ns: int | None = None
        """How long its thread waits in it; ``None`` where that is not told."""

    def _row(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> PathStats:
        row = self.rows.get(path)
        if row is None:
            if len(self.rows) >= MOST_PATHS:
                self._fold()
            row = self.rows[path] = PathStats(line)
        sums = row.by.get(key := (self.pid, name))
        if sums is None:
            if len(row.by) >= MOST_OF_EACH:
                key = (OTHER_PID, name)
            sums = row.by.setdefault(key, [0, 0, 0, 0])
        sums[0] += 1
        if ns is not None:
            sums[1] += ns
            if ns > sums[2]:
                sums[2] = ns
            if self.waiting_ns is None:
                row.untold += 1
            else:
                sums[3] += self.waiting_ns
        if errno is not None and errno != b"?":
            row.errors += 1
            if row.errno is None:
                row.errno = {errno: 1}
            else:
                row.errno[errno] = row.errno.get(errno, 0) + 1
        return row

    use = _row

    def opened(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> None:
        row = self._row(path, name, errno, ns, line)
        if errno is None:
            row.opens += 1

    def transfer(
        self, path: bytes, name: str, size: int, out: bool, errno: bytes | None, ns: int | None, line: int
    ) -> None:
        row = self._row(path, name, errno, ns, line)
        if errno is not None:
            return
        row.transfers += 1
        if out:
            row.out_bytes += size
        else:
            row.in_bytes += size
        if size == 0:
            row.empty += 1
        elif size < TINY_BYTES:
            row.tiny += 1
            row.tiny_bytes += size
            row.tiny_ns += ns or 0
            row.tiny_waiting_ns += self.waiting_ns or 0

    def sync(self, path: bytes, name: str, errno: bytes | None, ns: int | None, line: int) -> None:
        row = self._row(path, name, errno, ns, line)
        row.syncs += 1
        row.sync_ns += ns or 0
        row.sync_waiting_ns += self.waiting_ns or 0

    def _fold(self) -> None:
        """Keep the half with the most time, then calls; the rest becomes one row."""
        other = self.rows.pop(OTHER, None) or PathStats(0)
        ranked = sorted(self.rows.items(), key=lambda item: (item[1].ns, item[1].count), reverse=True)
        for _, row in ranked[MOST_PATHS // 2 :]:
            other.add(row)
        self.folded += len(ranked) - MOST_PATHS // 2
        self.rows = dict(ranked[: MOST_PATHS // 2])
        self.rows[OTHER] = other
