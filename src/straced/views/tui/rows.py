"""The model of rows: which processes are shown, in which order, and how deep in the tree. No screen in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from straced.model.frame import Frame, Key, ProcessRow

SORTS = ("cpu", "calls", "errors", "working", "waiting", "wall", "rss", "pid", "name")
_FIELDS = {
    "cpu": "cpu_pct",
    "calls": "calls_s",
    "errors": "errors_s",
    "working": "working_pct",
    "waiting": "waiting_pct",
    "wall": "wall_pct",
    "rss": "rss_bytes",
}
TITLES = {
    "cpu": "CPU%", "calls": "calls/s", "errors": "err/s", "working": "work%", "waiting": "wait%", "wall": "wall%",
    "rss": "RSS", "pid": "PID", "name": "command",
}  # fmt: skip
TRAIL = 60
"""Values that are kept of each process for its sparkline."""


class Line(NamedTuple):
    """A line of the list: a process, or the head of a job."""

    row: ProcessRow | None
    indent: str = ""
    """The branches of the tree that lead to it."""
    job: str = ""
    ended: bool = False

    @property
    def key(self) -> Key | None:
        """The process it is about; a head is about none."""
        return self.row.key if self.row is not None else None


class ProcessRows:
    """Lines from frames: filtered, sorted, as a tree or flat; remembers what each process did before."""

    def __init__(self, sort: str = "cpu", filter_text: str = "", *, flat: bool = False) -> None:
        self.sort = sort
        self.filter = filter_text
        self.flat = flat
        self.frame: Frame | None = None
        self._trails: dict[Key, deque[float]] = {}
        self._looked_at: ProcessRow | None = None
        self._ended = False

    def update(self, frame: Frame) -> None:
        """Take a new frame in."""
        self.frame = frame
        trails = {}
        for row in frame.processes:
            trail = self._trails.get(row.key)
            if trail is None:
                trail = deque(row.trail, maxlen=TRAIL)
            if row.calls_s is not None:
                trail.append(row.calls_s)
            trails[row.key] = trail
        self._trails = trails
        if self._looked_at is not None:
            now = self.find(self._looked_at.key)
            self._ended = now is None
            self._looked_at = now or self._looked_at

    @property
    def looked_at(self) -> ProcessRow | None:
        """The chosen process, as it is or was."""
        return self._looked_at

    @property
    def ended(self) -> bool:
        """Whether the chosen process is no more."""
        return self._ended

    @property
    def missing(self) -> str:
        """What became of the chosen process, as far as the frame without it tells."""
        past = self.frame is not None and self.frame.source == "history"
        return "is not in this minute" if past else "has ended"

    def look_at(self, row: ProcessRow | None) -> None:
        """The chosen process: it stays in the list when it ends, until another is chosen."""
        if row is None or self._looked_at is None or row.key != self._looked_at.key:
            self._ended = row is not None and self.find(row.key) is None
        self._looked_at = row

    def find(self, key: Key) -> ProcessRow | None:
        """A process of the last frame."""
        return next((row for row in self.frame.processes if row.key == key), None) if self.frame else None

    def with_trail(self, row: ProcessRow) -> ProcessRow:
        """The row with what it did before."""
        return msgspec.structs.replace(row, trail=tuple(self._trails.get(row.key, ())))

    def lines(self) -> list[Line]:
        """All lines, top to bottom."""
        if self.frame is None:
            return []
        rows = [row for row in self.frame.processes if self._matches(row)]
        ghost = self._looked_at if self._ended and self._looked_at and self._matches(self._looked_at) else None
        if ghost is not None:
            rows.append(ghost)
        if self.flat or self.sort == "name":
            return [Line(row, ended=row is ghost) for row in sorted(rows, key=self._rank)]
        jobs = sorted({row.job for row in rows if row.job is not None})
        found: list[Line] = []
        for job in jobs:
            found.append(Line(None, job=job))
            found += self._tree([row for row in rows if row.job == job], ghost, "  ")
        return found + self._tree([row for row in rows if row.job is None], ghost, "")

    def _matches(self, row: ProcessRow) -> bool:
        wanted = self.filter.casefold()
        if not wanted:
            return True
        texts = (row.cmdline, row.comm, str(row.pid), row.job or "", row.container or "", row.now or "")
        return any(wanted in text.casefold() for text in texts)

    def _rank(self, row: ProcessRow) -> tuple[float, int]:
        field = _FIELDS.get(self.sort)
        if field is None:
            return 0.0, row.pid
        value = getattr(row, field)
        return (1.0 if value is None else -float(value)), row.pid

    def _tree(self, rows: Sequence[ProcessRow], ghost: ProcessRow | None, indent: str) -> list[Line]:
        """Children below their parents; of siblings the one first that has the most, itself or below it."""
        parents = {row.pid: row.key for row in rows if row is not ghost}  # its pid may be another's by now
        below: dict[Key | None, list[ProcessRow]] = {}
        for row in rows:
            below.setdefault(parents.get(row.ppid) if row.ppid != row.pid else None, []).append(row)
        best: dict[Key, tuple[float, int]] = {}
        for row in self._parents_first(below)[::-1]:
            ranks = (best[child.key][0] for child in below.get(row.key, ()))
            best[row.key] = min(self._rank(row)[0], *ranks, self._rank(row)[0]), row.pid
        lines: list[Line] = []
        roots = sorted(below.get(None, ()), key=lambda row: best[row.key], reverse=True)
        stack = [(row, indent, indent) for row in roots]
        while stack:
            row, mine, trunk = stack.pop()
            lines.append(Line(row, mine, ended=row is ghost))
            children = sorted(below.get(row.key, ()), key=lambda row: best[row.key], reverse=True)
            for number, child in enumerate(children):  # the last one is on the stack first, and comes out last
                stack.append((child, trunk + ("├ " if number else "└ "), trunk + ("│ " if number else "  ")))
        return lines

    @staticmethod
    def _parents_first(below: dict[Key | None, list[ProcessRow]]) -> list[ProcessRow]:
        found = list(below.get(None, ()))
        for row in found:  # grows while it is walked
            found += below.get(row.key, ())
        return found
