"""The columns of the process list: title, width, and what to leave out first where there is little room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from straced.live.values import ProcessRow
from straced.views.tui import cells

COMMAND_WIDTH = 12
"""The least room for the command; it gets all that is left."""


class Column(NamedTuple):
    """A column of the process list."""

    title: str
    width: int
    text: Callable[[ProcessRow], str]
    right: bool = True
    style: str = ""


def _at_least(value: float | None, row: ProcessRow) -> str:
    """``>95`` where a thread has stood in a call since before it was counted."""
    text = cells.share(value)
    return text if value is None or not row.waits_longer else f">{text.lstrip('<')}"


COLUMNS = (
    Column("PID", 7, lambda row: str(row.pid)),
    Column("S", 1, lambda row: row.state, right=False),
    Column("CPU%", 4, lambda row: cells.share(row.cpu_pct)),
    Column("RSS", 5, lambda row: cells.size(row.rss_bytes)),
    Column("calls/s", 7, lambda row: cells.rate(row.calls_s)),
    Column("err/s", 5, lambda row: cells.short_rate(row.errors_s)),
    Column("work%", 5, lambda row: cells.share(row.working_pct)),
    Column("wait%", 5, lambda row: _at_least(row.waiting_pct, row)),
    Column("wall%", 5, lambda row: _at_least(row.wall_pct, row)),
    Column("now in", 12, lambda row: row.now or "-", right=False),
    Column("trend", 8, lambda row: cells.sparkline(row.trail, 8), right=False),
)
_FIRST_TO_GO = ("wall%", "trend", "RSS", "now in", "err/s", "wait%", "work%", "S", "CPU%", "calls/s")
_TIMES = {"work%": "working", "wait%": "waiting", "wall%": "wall"}


def fitting(width: int, mode: str = "working") -> tuple[Column, ...]:
    """The columns that fit, with the time that ``mode`` (working, waiting or wall) names kept longest."""
    kept = list(COLUMNS)
    favourite = [title for title, name in _TIMES.items() if name == mode]
    order = [title for title in _FIRST_TO_GO if title not in favourite] + favourite
    for title in order:
        if sum(column.width + 1 for column in kept) + COMMAND_WIDTH <= width:
            break
        kept = [column for column in kept if column.title != title]
    return tuple(kept)


def title_line(columns: Sequence[Column], width: int, mark: str = "") -> str:
    """The titles; the column that is sorted by carries an arrow where it has room."""
    titles = []
    for column in columns:
        title = column.title
        if title == mark and len(title) < column.width:
            title = f"{title}▼" if not column.right else f"▼{title}"
        titles.append(cells.fit(title, column.width, right=column.right))
    return cells.fit(" ".join((*titles, "command")), width)


def row_line(columns: Sequence[Column], row: ProcessRow, indent: str, width: int) -> str:
    """One process; the tree is drawn by ``indent`` before its command."""
    parts = [cells.fit(column.text(row), column.width, right=column.right) for column in columns]
    return cells.fit(" ".join((*parts, indent + command(row))), width)


def ended_line(columns: Sequence[Column], row: ProcessRow, width: int) -> str:
    """A process that is no more: its name, and no figures."""
    parts = [cells.fit(str(row.pid) if column.title == "PID" else "", column.width, right=True) for column in columns]
    return cells.fit(" ".join((*parts, "ENDED " + command(row))), width)


def command(row: ProcessRow) -> str:
    """The command line, or the name in brackets where there is none, as ps(1) has it."""
    return row.cmdline or f"[{row.comm}]"
