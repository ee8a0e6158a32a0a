"""The tabs about the chosen process, as lines: calls, threads, files, events. No widget in here."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.style import Style

from straced.live.values import Detail, FileRow, Note, ThreadRow
from straced.model import SyscallStats
from straced.summary import sort_rows
from straced.units import format_count, format_ns
from straced.views.table import errno_line, label
from straced.views.tui import cells
from straced.views.tui.grid import GridLine

TABS = ("calls", "threads", "files", "events")
WEAK, BAD = Style(dim=True), Style(color="red", bold=True)
_TIMES = {"working": "working_ns", "waiting": "waiting_ns", "wall": "wall_ns"}
_SORTS = {"calls": "calls", "errors": "errors", "name": "name"}
CALLS_TITLE = (
    f"{'syscall':<18} {'calls/s':>8} {'err/s':>6} {'work%':>5} {'wait%':>5} {'p50':>7} {'p99':>7} {'open':>4} errors"
)
THREADS_TITLE = f"{'TID':>7} S {'CPU%':>4} {'for at least':>12} {'call':<18} {'name':<15} sleeps in"
FILES_TITLE = f"{'fd':>5} {'kind':<10} {'mode':<6} {'position':>14} name"
EVENTS_TITLE = f"{'time':<8} {'what':<8} {'PID':>7} text"


def sorted_calls(detail: Detail, sort: str, mode: str) -> tuple[SyscallStats, ...]:
    """The calls as the list is sorted: by calls, errors or name, else by the time that ``mode`` names."""
    key = _SORTS.get(sort, {"working": "working", "waiting": "waiting"}.get(mode, "time"))
    return sort_rows(detail.calls or (), key)


def call_lines(rows: Sequence[SyscallStats], detail: Detail) -> list[GridLine]:
    """The system calls of the window; shares are of one thread's time."""
    several = len({row.abi for row in rows}) > 1
    return [GridLine(_call(row, detail.duration_ns, several), BAD if row.errors else Style.null()) for row in rows]


def _call(row: SyscallStats, duration_ns: int, several_abis: bool) -> str:
    seconds = duration_ns / 1e9
    texts = (
        cells.fit(label(row, several_abis=several_abis), 18),
        cells.rate(_per(row.calls, seconds)).rjust(8),
        cells.rate(_per(row.errors, seconds)).rjust(6),
        cells.share(_per(row.working_ns, duration_ns / 100)).rjust(5),
        cells.share(_per(row.waiting_ns, duration_ns / 100)).rjust(5),
        format_ns(row.p50_ns).rjust(7),
        format_ns(row.p99_ns).rjust(7),
        format_count(row.in_flight).rjust(4),
        errno_line(row.errno) if row.errno else "",
    )
    return " ".join(texts)


def _per(value: int | None, whole: float) -> float | None:
    return None if value is None or whole <= 0 else value / whole


def thread_lines(rows: Sequence[ThreadRow]) -> list[GridLine]:
    """The threads, those that are in their call the longest first."""
    ranked = sorted(rows, key=lambda row: (-(row.for_ns if row.for_ns is not None else -1), row.tid))
    return [
        GridLine(
            " ".join(
                (
                    str(row.tid).rjust(7),
                    row.state,
                    cells.share(row.cpu_pct).rjust(4),
                    format_ns(row.for_ns).rjust(12),
                    cells.fit(row.call or "-", 18),
                    cells.fit(row.comm, 15),
                    row.place or "-",
                )
            ),
            BAD if row.state == "D" else Style.null(),
        )
        for row in ranked
    ]


def file_lines(rows: Sequence[FileRow], more: int) -> list[GridLine]:
    """The open descriptors by number."""
    lines = [
        GridLine(
            " ".join(
                (
                    str(row.fd).rjust(5),
                    cells.fit(row.kind, 10),
                    cells.fit(row.mode, 6),
                    format_count(row.position).rjust(14),
                    row.name,
                )
            )
        )
        for row in rows
    ]
    return [*lines, GridLine(f" ({format_count(more)} more)", WEAK)] if more else lines


def event_lines(notes: Sequence[Note], pid: int | None) -> list[GridLine]:
    """The time line, the latest first; what concerns the chosen process stands out."""
    return [
        GridLine(
            " ".join(
                (
                    time.strftime("%H:%M:%S", time.localtime(note.epoch_s)),
                    cells.fit(note.kind, 8),
                    ("-" if note.pid is None else str(note.pid)).rjust(7),
                    note.text,
                )
            ),
            BAD if note.severe else Style(bold=True) if note.pid == pid and pid is not None else Style.null(),
        )
        for note in reversed(notes)
    ]
