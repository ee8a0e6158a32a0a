"""The tabs about the chosen process, as lines: calls, threads, files, events. No widget in here.

That of the slow calls is in :mod:`straced.views.tui.slow_panel`, that by file in :mod:`straced.views.tui.file_panel`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from straced.model.aggregation import sort_rows
from straced.model.frame import DescriptorRow, Note, ProcessDetail, ThreadRow
from straced.model.types import SyscallStats
from straced.text.units import format_count, format_ns
from straced.views.text.table import errno_line, label
from straced.views.tui import cells, palette, plots
from straced.views.tui.segments import Piece, Pieces, whole

TABS = ("calls", "threads", "files", "events", "slow", "by file")
_SORTS = {"calls": "calls", "errors": "errors", "name": "name"}
_RATES = f"{'syscall':<16} {'calls/s':>8} {'err/s':>6} {'work%':>5} {'wait%':>5} "
_PERCENTILES = f"{'p50':>7} {'p99':>7} "
_IN_FLIGHT = f"{'in flight':>9} "
THREADS_TITLE = whole(
    f"{'TID':>7} S {'CPU%':>4} {'in call ≥':>12} {'syscall':<18} {'name':<15} blocked in", palette.TITLE
)
FILES_TITLE = whole(f"{'fd':>5} {'kind':<10} {'mode':<6} {'position':>14} name", palette.TITLE)
EVENTS_TITLE = whole(f"{'time':<8} {'what':<13} {'PID':>7} text", palette.TITLE)
_ERRORS_WIDTH = 20
"""Room that the names of errors have beside the durations."""


class CallsTable:
    """The table of calls, for a screen of some width: the durations of all have one axis.

    Args:
        detail: what is known of the process.
        rows: its calls, sorted.
        width: cells there are.
    """

    def __init__(self, detail: ProcessDetail, rows: Sequence[SyscallStats], width: int) -> None:
        self._detail = detail
        self._rows = rows
        self._several = len({row.abi for row in rows}) > 1
        self._octaves = [plots.octaves(detail.histograms.get(f"{row.name}@{row.abi}", ())) for row in rows]
        seen = {octave for each in self._octaves for octave in each}
        self._axis = (min(seen), max(seen)) if seen else (0, -1)
        self._timed = any(row.p99_ns is not None for row in rows)
        self._head = _RATES + (_PERCENTILES if self._timed else "") + _IN_FLIGHT
        room = width - len(self._head) - _ERRORS_WIDTH
        self._bars = max(self._axis[1] - self._axis[0] + 1, 9) if seen else 0
        if self._bars > room:
            self._bars = 0
        self._room = width - len(self._head) - (self._bars + 1 if self._bars else 0)

    @property
    def title(self) -> Pieces:
        """The titles; that of the durations says where their axis begins and ends."""
        pieces = [Piece(self._head, palette.TITLE)]
        if self._bars:
            ends = (format_ns(1 << self._axis[0]), format_ns(2 << self._axis[1]))
            first, last = (end.replace(" ", "").replace(".0", "") for end in ends)
            gap = self._bars - len(first) - len(last)
            pieces.append(
                Piece(f"{first}{'─' * gap}{last} " if gap > 0 else "durations".ljust(self._bars + 1), palette.DIM)
            )
        return (*pieces, Piece("errors", palette.TITLE))

    @property
    def lines(self) -> list[Pieces]:
        """The system calls of the window; shares are of one thread's time."""
        return [self._line(row, found) for row, found in zip(self._rows, self._octaves, strict=True)]

    def _line(self, row: SyscallStats, found: dict[int, int]) -> Pieces:
        seconds, percent_ns = self._detail.duration_ns / 1e9, self._detail.duration_ns / 100
        working, waiting = _per(row.working_ns, percent_ns), _per(row.waiting_ns, percent_ns)
        percentiles: Pieces = ()
        if self._timed:
            percentiles = tuple(
                Piece(format_ns(value).rjust(7) + " ", palette.of_duration(value)) for value in (row.p50_ns, row.p99_ns)
            )
        bars: Pieces = ()
        if self._bars:
            drawn = plots.strip(found, *self._axis)
            bars = (*drawn, Piece(" " * (self._bars - len(drawn) + 1)))
        return (
            Piece(cells.fit(label(row, several_abis=self._several), 17), palette.of_call(row.name)),
            Piece(cells.rate(_per(row.calls, seconds)).rjust(8) + " ", palette.STRONG),
            Piece(cells.rate(_per(row.errors, seconds)).rjust(6) + " ", palette.BAD if row.errors else palette.DIM),
            Piece(cells.share(working).rjust(5) + " ", palette.WORKING if working else palette.DIM),
            Piece(cells.share(waiting).rjust(5) + " ", palette.WAITING if waiting else palette.DIM),
            *percentiles,
            Piece(format_count(row.in_flight).rjust(9) + " ", palette.NOTHING if row.in_flight else palette.DIM),
            *bars,
            Piece(_errors(row.errno, self._room) if row.errno else "", palette.BAD),
        )


def _errors(errno: dict[str, int], room: int) -> str:
    """The errors with their numbers; where there is no room for these, the names alone."""
    counted, names = errno_line(errno), " ".join(sorted(errno, key=lambda name: -errno[name]))
    return counted if len(counted) <= room else names


def sorted_calls(detail: ProcessDetail, sort: str, mode: str) -> tuple[SyscallStats, ...]:
    """The calls as the list is sorted: by calls, errors or name, else by the time that ``mode`` names."""
    key = _SORTS.get(sort, {"working": "working", "waiting": "waiting"}.get(mode, "time"))
    return sort_rows(detail.calls or (), key)


def _per(value: int | None, whole: float) -> float | None:
    return None if value is None or whole <= 0 else value / whole


def thread_lines(rows: Sequence[ThreadRow]) -> list[Pieces]:
    """The threads, those that are in their call the longest first."""
    ranked = sorted(rows, key=lambda row: (-(row.for_ns if row.for_ns is not None else -1), row.tid))
    return [
        (
            Piece(f"{row.tid:>7} "),
            Piece(f"{row.state} ", palette.of_state(row.state)),
            Piece(cells.share(row.cpu_pct).rjust(4) + " ", palette.of_share(row.cpu_pct)),
            Piece((format_ns(row.for_ns) if row.for_ns != 0 else "0").rjust(12) + " ", palette.STRONG),
            Piece(cells.fit(row.call or "-", 18) + " ", palette.of_call(row.call or "")),
            Piece(cells.fit(row.comm, 15) + " "),
            Piece(row.place or "-", palette.DIM),
        )
        for row in ranked
    ]


_KINDS = {"tcp": "network", "udp": "network", "unix": "network", "socket": "network", "file": "file", "pipe": "process"}
_OF_KIND = {
    "network": palette.of_call("socket"),
    "file": palette.of_call("read"),
    "process": palette.of_call("fork"),
}


def file_lines(rows: Sequence[DescriptorRow], more: int) -> list[Pieces]:
    """The open descriptors by number."""
    lines: list[Pieces] = [
        (
            Piece(f"{row.fd:>5} "),
            Piece(cells.fit(row.kind, 11), _OF_KIND.get(_KINDS.get(row.kind, ""), palette.DIM)),
            Piece(cells.fit(row.mode, 7), palette.DIM),
            Piece(format_count(row.position).rjust(14) + " ", palette.NOTHING if row.position else palette.DIM),
            Piece(row.name, palette.STRONG),
        )
        for row in rows
    ]
    return [*lines, whole(f" ({format_count(more)} more)", palette.DIM)] if more else lines


def event_lines(notes: Sequence[Note]) -> list[Pieces]:
    """What happened, the latest first."""
    return [
        (
            Piece(time.strftime("%H:%M:%S ", time.localtime(note.epoch_s)), palette.DIM),
            Piece(cells.fit(note.kind, 13) + " ", palette.BAD if note.severe else palette.of_note(note.kind)),
            Piece(("-" if note.pid is None else str(note.pid)).rjust(7) + " "),
            Piece(note.text),
        )
        for note in reversed(notes)
    ]
