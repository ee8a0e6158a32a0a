"""The model of rows: which processes are shown, in which order, and how deep in the tree. No screen in here."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from straced.model.frame import Frame, Key, ProcessRow, ShortLived
from straced.views.tui.command_words import spoken
from straced.views.tui.row_filter import RowFilter

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
COUNTED = ("calls", "errors", "working", "waiting", "wall")
"""Orders that need a tracer."""
TRAIL = 60
"""Values that are kept of each process for its sparkline."""


class Line(NamedTuple):
    """A line of the list: a process, or the head of a job."""

    row: ProcessRow | None
    indent: str = ""
    """The branches of the tree that lead to it."""
    short: ProcessRow | None = None
    """What processes of one program did that came and went; no key acts upon it."""
    job: str = ""
    ended: bool = False

    @property
    def key(self) -> Key | None:
        """The process it is about; a head is about none."""
        return self.row.key if self.row is not None else None


class ProcessRows:
    """Lines from frames: filtered, sorted, as a tree or flat; remembers what each process did before."""

    def __init__(self, sort: str = "calls", filter_text: str = "", *, flat: bool = False) -> None:
        self.sort = sort
        self.filter = filter_text
        self.flat = flat
        self.frame: Frame | None = None
        self._at: tuple[float, int] | None = None
        self._trails: dict[Key, deque[float]] = {}
        self._looked_at: ProcessRow | None = None
        self._ended = False
        self._short_ids: dict[tuple[Key | None, str], int] = {}
        self._short: list[ProcessRow] = []

    def update(self, frame: Frame) -> None:
        """Take a new frame in."""
        at = frame.epoch_s, frame.monotonic_ns
        again, self._at = at == self._at, at
        self.frame = frame
        trails = {}
        self._short = [self._short_row(each) for each in frame.short_lived]
        for row in (*frame.processes, *self._short):
            trail = self._trails.get(row.key)
            if trail is None:
                trail = deque(row.trail, maxlen=TRAIL)
            if row.calls_s is not None and not (again and trail):  # a service has fewer figures than a screen asks for
                trail.append(row.calls_s)
            trails[row.key] = trail
        self._trails = trails
        if self._looked_at is not None:
            now = self.find(self._looked_at.key)
            self._ended = now is None
            self._looked_at = now or self._looked_at

    @property
    def filter(self) -> str:
        """What is filtered by, as it was typed."""
        return self._filter

    @filter.setter
    def filter(self, text: str) -> None:
        self._filter = text
        self.wanted = RowFilter(text)

    @property
    def order(self) -> str:
        """What the rows are sorted by: CPU, where nobody counts what they should be."""
        uncounted = self.frame is not None and self.frame.uncounted
        return "cpu" if uncounted and self.sort in COUNTED else self.sort

    @property
    def busiest(self) -> Key | None:
        """The process that is first in this order, whatever it hangs below; ``None`` while no figure is known.

        This screen is none: nobody opens it to look at it.
        """
        known = [row for row in self.shown if self._rank(row)[0] < 1.0 and row.pid != os.getpid()]
        return min(known, key=_by_name if self.order == "name" else self._rank).key if known else None

    @property
    def shown(self) -> list[ProcessRow]:
        """The processes that the filter leaves."""
        return [row for row in self.frame.processes if self.wanted.matches(row)] if self.frame is not None else []

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
        rows = self.shown + [row for row in self._short if self.wanted.matches(row)]
        ghost = self._looked_at if self._ended and self._looked_at and self.wanted.matches(self._looked_at) else None
        if ghost is not None:
            rows.append(ghost)
        if self.order == "name":
            return [_line(row, ended=row is ghost) for row in sorted(rows, key=_by_name)]
        if self.flat:
            return [_line(row, ended=row is ghost) for row in sorted(rows, key=self._rank)]
        best: dict[str, tuple[float, str]] = {}
        for row in rows:
            if row.job is not None:
                best[row.job] = min(best.get(row.job, (2.0, "")), (self._rank(row)[0], row.job))
        jobs = sorted(best, key=best.__getitem__)
        found: list[Line] = []
        for job in jobs:
            found.append(Line(None, job=job))
            found += self._tree([row for row in rows if row.job == job], ghost, "  ")
        return found + self._tree([row for row in rows if row.job is None], ghost, "")

    def _short_row(self, short: ShortLived) -> ProcessRow:
        """Drawn and sorted like a process, below its parent; its pid is below zero, the same from frame to frame."""
        number = self._short_ids.setdefault((short.parent, short.program), len(self._short_ids) + 1)
        times = "" if short.ended is None else f" × {short.ended:,}"
        return ProcessRow(
            pid=-number,
            start_ticks=0,
            ppid=short.parent[0] if short.parent is not None else 0,
            comm=short.program or "other programs",
            cmdline=f"{short.program or 'other programs'}{times}",
            job=short.job,
            state="",
            watched=True,
            calls_s=short.calls_s,
            errors_s=short.errors_s,
            working_pct=short.working_pct,
            waiting_pct=short.waiting_pct,
            wall_pct=short.wall_pct,
        )

    def _rank(self, row: ProcessRow) -> tuple[float, int]:
        field = _FIELDS.get(self.order)
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
            lines.append(_line(row, mine, ended=row is ghost))
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


def _by_name(row: ProcessRow) -> tuple[str, int]:
    """By what the column shows."""
    return "".join(spoken(row)).casefold(), row.pid


def _line(row: ProcessRow, indent: str = "", *, ended: bool = False) -> Line:
    return Line(row, indent, ended=ended) if row.pid >= 0 else Line(None, indent, short=row)
