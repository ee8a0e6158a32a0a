"""Counts, errors and times of each task and call: the fast pass over a trace.

One regular expression takes the few words of each line that matter (pid, call, what stands behind the last ``<``),
and equal triples are counted at once; errors are rare enough to be looked up one by one. Nothing here depends on the
order of lines, so that blocks can be counted by several processes and added.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter

from straced.model import histogram
from straced.traces.analysis.error_calls import ErrorCalls, errno_at_end
from straced.traces.analysis.time_buckets import TimeBuckets
from straced.traces.parsing.line import WAITING, TraceLine, parse_line, waiting_of
from straced.traces.parsing.line_format import Form

FLUSH_KEYS = 60_000
FOLD_LINES = 100_000
"""So often it is looked at whether there are too many rows: at the end of the block in which so many more lines end."""
UNREAD_SHOWN = 20
MOST_ROWS = 60_000
KEPT_TASKS = 1_500
OTHER_TASKS = -1
_DURATION = re.compile(rb"(\d{1,8})(?:\.(\d{1,9}))?" + WAITING + rb">")
_LOST = re.compile(rb"strace: (\d{1,18}) lines were dropped")
"""The note that ``straced trace`` writes into a trace whose reader was too slow."""
_OF_A_CALL = frozenset({"call", "unfinished", "resumed", "detached", "cut"})
NO_ERRNO = frozenset({"rt_sigreturn", "sigreturn"})
"""Calls whose printed result is that of the call that the signal interrupted."""


class TallyRow:
    """The counts, errors and times (ns) of one call of one task."""

    __slots__ = (
        "calls", "errno", "max_ns", "min_ns", "no_return", "resumed", "sum_ns", "timed", "unfinished",
        "waited", "waiting_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = 0
        """Entered: whole lines and unfinished ones."""
        self.unfinished = 0
        self.resumed = 0
        self.no_return = 0
        """Entered and ``= ?`` or detached: never returned while traced."""
        self.timed = 0
        self.sum_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        self.waited = 0
        """Of those that were timed, how many tell their waiting,"""
        self.waiting_ns = 0
        """and how much that is."""
        self.errno: dict[str, int] | None = None

    def time(self, duration_ns: int, count: int, waiting_ns: int | None = None) -> None:
        """Add ``count`` calls of one duration, and one time of waiting in it."""
        if waiting_ns is not None:
            self.waited += count
            self.waiting_ns += waiting_ns * count
        self.timed += count
        self.sum_ns += duration_ns * count
        if self.max_ns is None or duration_ns > self.max_ns:
            self.max_ns = duration_ns
        if self.min_ns is None or duration_ns < self.min_ns:
            self.min_ns = duration_ns

    def fail(self, errno: str, count: int = 1) -> None:
        """Add ``count`` calls that ended in an errno (ERESTART* included)."""
        if self.errno is None:
            self.errno = {}
        self.errno[errno] = self.errno.get(errno, 0) + count

    def add(self, other: TallyRow) -> None:
        """Add the figures of another row."""
        for name in ("calls", "no_return", "resumed", "sum_ns", "timed", "unfinished", "waited", "waiting_ns"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.min_ns is not None:
            self.min_ns = other.min_ns if self.min_ns is None else min(self.min_ns, other.min_ns)
        if other.max_ns is not None:
            self.max_ns = other.max_ns if self.max_ns is None else max(self.max_ns, other.max_ns)
        for errno, count in (other.errno or {}).items():
            self.fail(errno, count)


class LineTally:
    """Counts blocks of whole lines that begin and end with a newline, in any order."""

    def __init__(self, form: Form, *, ticks: bool = False) -> None:
        self.form = form
        self.ticks = TimeBuckets.of(form) if ticks else None
        self.errors = ErrorCalls(form)
        prefix = form.prefix(clock=False)
        head = rb"(<\.\.\. \w+(?= resumed>)|[A-Za-z_]\w*\()"
        if form.durations:
            pattern = prefix + head + rb".*<(?=[0-9]|unfin|detac))?([^\n]*)"
        else:
            pattern = prefix + head + rb".*(?:= (?=[-0-9?])|<(?=unfin|detac))(.)|([^\n]*))"
        self._pattern = re.compile(rb"\n(?:" + pattern)
        self._start = re.compile(rb"\n" + form.prefix() + head)
        self._counter: Counter[tuple[bytes, ...]] = Counter()
        self.rows: dict[tuple[int, str], TallyRow] = {}
        self.counted = 0
        """Lines fed so far."""
        self.unread = 0
        self.unread_lines: list[tuple[int, bytes]] = []
        """The number and the text (bytes as in the file) of the first ``UNREAD_SHOWN`` of them."""
        self.cut = 0
        self.lost = 0
        """Lines that are missing, by notes in the trace."""
        self.histograms: dict[str, dict[int, int]] = {}
        """Calls by duration, of each call name, in the buckets of :mod:`straced.model.histogram`."""
        self.abis: dict[int, set[str]] = {}
        """TID -> ABIs other than the machine's own, by strace's notes."""

    def feed(self, block: bytes, first: int) -> None:
        """Count one block, whose first line has the number ``first``."""
        if self.passes(self.count(block, first)) and len(self.rows) + len(self._counter) > MOST_ROWS:
            self.flush()  # with fewer there is nothing to fold

    def count(self, block: bytes, first: int) -> int:
        """The same, without a look at the number of rows; return how many lines it has."""
        found = self._pattern.findall(block)
        found.pop()  # the empty line behind the last newline
        self._counter.update(found)
        for index, words in enumerate(found):
            if not words[1]:
                self.other_line(first + index, words[-1])
        for (pid, call, errno), count in self.errors.feed(block, first).items():
            self.row(int(pid or 0), call.decode()).fail(errno.decode(), count)
        if self.ticks is not None:
            self.ticks.feed(block)
        if len(self._counter) > FLUSH_KEYS:
            self._add_counted()
        return len(found)

    def passes(self, lines: int) -> bool:
        """Add to the lines fed so far; whether it is time to look at the number of rows."""
        before = self.counted
        self.counted += lines
        return self.counted // FOLD_LINES > before // FOLD_LINES

    def row(self, tid: int, name: str) -> TallyRow:
        """Return the row of one task and call; a new one is empty."""
        row = self.rows.get((tid, name))
        if row is None:
            row = self.rows[tid, name] = TallyRow()
        return row

    def _add_counted(self) -> None:
        """Add the lines counted since the last flush to the rows."""
        counter, self._counter = self._counter, Counter()
        add = self._timed if self.form.durations else self._untimed
        for words, count in counter.items():
            head = words[1]
            if head:
                resumed = head[0] == 60  # <
                name = (head[5:] if resumed else head[:-1]).decode()
                buckets = self.histograms.setdefault(name, {})
                add(self.row(int(words[0] or 0), name), buckets, resumed, words[2], count)

    @staticmethod
    def _timed(row: TallyRow, buckets: dict[int, int], resumed: bool, tail: bytes, count: int) -> None:
        if resumed:
            row.resumed += count
        else:
            row.calls += count
        match = _DURATION.fullmatch(tail.rstrip(b"\r"))
        if match is not None:
            duration = int(match.group(1)) * 10**9 + int((match.group(2) or b"0").ljust(9, b"0"))
            row.time(duration, count, waiting_of(match.group(3)))
            place = histogram.bucket(duration)
            buckets[place] = buckets.get(place, 0) + count
        elif tail.startswith(b"detac"):
            row.no_return += count
        elif tail.startswith(b"unfin"):
            if tail.rstrip() == b"unfinished ...>":
                row.unfinished += count
            else:
                row.no_return += count

    @staticmethod
    def _untimed(row: TallyRow, buckets: dict[int, int], resumed: bool, tail: bytes, count: int) -> None:
        if resumed:
            row.resumed += count
        else:
            row.calls += count
        if tail in (b"d", b"?"):
            row.no_return += count
        elif tail == b"u":
            row.unfinished += count

    def flush(self) -> None:
        """Add what was counted to the rows; of too many, keep those of the busiest tasks, and ``OTHER_TASKS``."""
        self._add_counted()
        if len(self.rows) <= MOST_ROWS:
            return
        calls: Counter[int] = Counter()
        for (tid, _), row in self.rows.items():
            calls[tid] += row.calls
        kept = set(heapq.nsmallest(KEPT_TASKS, calls, key=lambda tid: (-calls[tid], tid))) - {OTHER_TASKS}
        rows, self.rows = self.rows, {}
        for (tid, name), row in rows.items():
            if tid in kept:
                self.rows[tid, name] = row
            else:
                self.row(OTHER_TASKS, name).add(row)

    def other_line(self, number: int, text: bytes) -> None:
        """A line that the pattern does not take: a signal, an exit, ``= ?``, another form, damage."""
        value = parse_line(text) if text else None
        if value is None:
            if text.strip():
                self.unread += 1
                if len(self.unread_lines) < UNREAD_SHOWN:
                    self.unread_lines.append((number, text[:200]))
        elif value.kind in _OF_A_CALL:
            counted = self._start.match(b"\n" + text) is not None
            self._other_call(value, None if counted else errno_at_end(text))
        elif value.kind == "note" and (match := _LOST.match(value.args)):
            self.lost += int(match.group(1))
        elif value.kind == "abi" and value.pid is not None and len(self.abis) < MOST_ROWS:
            self.abis.setdefault(value.pid, set()).add(value.abi or "?")

    def _other_call(self, value: TraceLine, errno: str | None) -> None:
        row = self.row(value.pid or 0, value.name)
        if value.resumed:
            row.resumed += 1
        else:
            row.calls += 1
        if value.kind == "unfinished":
            row.unfinished += 1
        elif value.kind in ("detached", "cut") or (value.value is None and value.errno is None):
            row.no_return += 1
            self.cut += value.kind == "cut"
        if value.duration_ns is not None:
            row.time(value.duration_ns, 1, value.waiting_ns)
            buckets = self.histograms.setdefault(value.name, {})
            place = histogram.bucket(value.duration_ns)
            buckets[place] = buckets.get(place, 0) + 1
        if errno is not None:
            row.fail(errno)
