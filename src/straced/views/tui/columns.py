"""The columns of the process list: title, width, and what to leave out first where there is little room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

from straced.model.frame import Frame, ProcessRow
from straced.views.tui import cells, palette
from straced.views.tui.command_words import command, spoken
from straced.views.tui.segments import Piece, Pieces

COMMAND_WIDTH = 23
"""The least room for the command; it gets all that is left."""
COMMAND_GOOD = 28
"""From here on, what cuts the longest of the usual calls grows first."""
COMMAND_ENOUGH = 44
"""From here on, other columns grow too."""
BRANCHES_MOST = 8
"""Cells of the tree before a command."""


class Column(NamedTuple):
    """A column of the process list; ``draw`` fills exactly the width that it is given."""

    title: str
    width: int
    draw: Callable[[ProcessRow, int], Pieces]
    right: bool = True
    most: int = 0
    """How wide it may grow, where there is room."""


def _column(
    title: str,
    width: int,
    text: Callable[[ProcessRow], str],
    style: Callable[[ProcessRow], Style] = lambda row: palette.NOTHING,
    *,
    right: bool = True,
    most: int = 0,
) -> Column:
    def draw(row: ProcessRow, room: int) -> Pieces:
        return (Piece(cells.fit(text(row), room, right=right), style(row)),)

    return Column(title, width, draw, right, most)


def _at_least(value: float | None, row: ProcessRow) -> str:
    """``>95`` where a thread has stood in a call since before it was counted; more than nothing is unknown."""
    text = cells.share(value)
    if value is None or not row.waits_longer:
        return text
    return f">{text.lstrip('<')}" if value > 0 else "-"


def _of_one(row: ProcessRow, text: str) -> str:
    """What only a process has, and not a line about many that came and went."""
    return text if row.pid >= 0 else ""


def _lit(value: float | None, style: Style) -> Style:
    return style if value else palette.DIM


def _time_bar(row: ProcessRow, width: int) -> Pieces:
    """What its threads' time was spent on: high for a CPU in the program, then in calls, low for waiting in calls."""
    if row.pid < 0:
        return (Piece(" " * width),)
    nothing_known = row.waits_longer and not row.working_pct and not row.waiting_pct
    if row.working_pct is None or row.waiting_pct is None or nothing_known:
        return (Piece(cells.fit("-", width), palette.DIM),)
    whole = max(100.0 * max(1, row.threads or 1), row.working_pct + row.waiting_pct)
    program = max(0.0, min((row.cpu_pct or 0.0) - row.working_pct, whole - row.working_pct - row.waiting_pct))
    ends, reached = [], 0.0
    for value in (program, row.working_pct, row.waiting_pct):
        reached += value
        ends.append(round(width * reached / whole))
    sizes = (ends[0], ends[1] - ends[0], ends[2] - ends[1])
    styles = (palette.IN_PROGRAM, palette.WORKING, palette.WAITING)
    bars = tuple(Piece(mark * size, style) for mark, size, style in zip("▇▅▂", sizes, styles, strict=True))
    return (*bars, Piece(" " * (width - ends[2])))


COLUMNS = (
    _column("PID", 7, lambda row: _of_one(row, str(row.pid))),
    _column("S", 1, lambda row: row.state, lambda row: palette.of_state(row.state), right=False),
    _column("CPU%", 4, lambda row: _of_one(row, cells.share(row.cpu_pct)), lambda row: palette.of_share(row.cpu_pct)),
    _column("RSS", 5, lambda row: _of_one(row, cells.size(row.rss_bytes))),
    _column("calls/s", 7, lambda row: cells.rate(row.calls_s), lambda row: _lit(row.calls_s, palette.RATE)),
    _column("err/s", 5, lambda row: cells.short_rate(row.errors_s), lambda row: _lit(row.errors_s, palette.BAD)),
    _column("work%", 5, lambda row: cells.share(row.working_pct), lambda row: _lit(row.working_pct, palette.WORKING)),
    _column(
        "wait%", 5, lambda row: _at_least(row.waiting_pct, row), lambda row: _lit(row.waiting_pct, palette.WAITING)
    ),
    _column("wall%", 5, lambda row: _at_least(row.wall_pct, row), lambda row: _lit(row.wall_pct, palette.NOTHING)),
    Column("thread time", 11, _time_bar, right=False, most=16),
    Column(
        "trend", 8, lambda row, room: (Piece(cells.sparkline(row.trail, room), palette.RATE),), right=False, most=24
    ),
    _column(
        "now in",
        12,
        lambda row: _of_one(row, row.now or "-"),
        lambda row: palette.of_call(row.now or ""),
        right=False,
        most=16,
    ),
)
_FIRST_TO_GO = ("wall%", "trend", "thread time", "RSS", "now in", "err/s", "wait%", "work%", "S", "CPU%", "calls/s")
_TIMES = {"work%": "working", "wait%": "waiting", "wall%": "wall"}
NEED_A_TRACER = frozenset(("calls/s", "err/s", "work%", "wait%", "wall%", "thread time", "trend"))
"""Columns of nothing but dashes where nobody counts."""
NOT_KEPT = frozenset(("S", "now in", "trend"))
"""Columns that a minute of history has nothing for."""
SORT_OF = {
    "PID": "pid", "CPU%": "cpu", "RSS": "rss", "calls/s": "calls", "err/s": "errors", "work%": "working",
    "wait%": "waiting", "wall%": "wall", "command": "name",
}  # fmt: skip
"""The order that a click on a title asks for."""


def unknown(frame: Frame | None) -> Collection[str]:
    """The columns of which nothing can be known here."""
    if frame is None:
        return ()
    uncounted: frozenset[str] = NEED_A_TRACER if frame.uncounted else frozenset()
    return uncounted | NOT_KEPT if frame.source == "history" else uncounted


def fitting(
    width: int, mode: str = "working", without: Collection[str] = (), sorted_by: str = ""
) -> tuple[Column, ...]:
    """The columns that fit, but those ``without``.

    Of those that may go, the one that is sorted by stays longest, then the time of ``mode`` (working, waiting or wall).
    """
    kept = [column for column in COLUMNS if column.title not in without]
    favourite = [title for title, name in _TIMES.items() if name == mode and title != sorted_by]
    favourite += [sorted_by] if sorted_by in _FIRST_TO_GO else []
    order = [title for title in _FIRST_TO_GO if title not in favourite] + favourite
    for title in order:
        if _used(kept) + COMMAND_WIDTH <= width:
            break
        kept = [column for column in kept if column.title != title]
    kept = list(_grown(kept, width - _used(kept) - COMMAND_GOOD, ("now in",)))
    return _grown(kept, (width - _used(kept) - COMMAND_ENOUGH) // 2)


def _used(columns: Sequence[Column]) -> int:
    return sum(column.width + 1 for column in columns)


def _grown(columns: Sequence[Column], room: int, only: Collection[str] = ()) -> tuple[Column, ...]:
    """Room to those that can use it."""
    grown = []
    for column in columns:
        more = max(0, min(column.most - column.width, room)) if not only or column.title in only else 0
        room -= more
        grown.append(column._replace(width=column.width + more))
    return tuple(grown)


def title_line(columns: Sequence[Column], mark: str = "") -> Pieces:
    """The titles; the column that is sorted by stands out, and carries an arrow where it has room."""
    pieces: list[Piece] = []
    for column in columns:
        title, style = column.title, palette.TITLE
        if title == mark:
            style = palette.SORTED
            if len(title) < column.width:
                title = f"▼{title}" if column.right else f"{title}▼"
        sort = SORT_OF.get(column.title)
        action = f"sort_by('{sort}')" if sort else ""
        pieces += (Piece(cells.fit(title, column.width, right=column.right), style, action), Piece(" "))
    last = ("command▼", palette.SORTED) if mark == "command" else ("command", palette.TITLE)
    return (*pieces, Piece(*last, f"sort_by('{SORT_OF['command']}')"), Piece(""))


def row_line(columns: Sequence[Column], row: ProcessRow, indent: str, phrase: str = "") -> Pieces:
    """One process; the tree is drawn by ``indent`` before its command, in which ``phrase`` stands out."""
    name, rest = spoken(row)
    words = (*_marked(name, phrase, palette.STRONG), *_marked(rest, phrase, palette.NOTHING))
    return (*_figures(columns, row), Piece(_branches(indent), palette.DIM), *words, Piece(""))


def ended_line(columns: Sequence[Column], row: ProcessRow, missing: str) -> Pieces:
    """A process that is in the list no more, with the figures that it had last."""
    word = "ENDED" if missing == "has ended" else missing
    last = "".join(piece.text for piece in _figures(columns, row))
    return Piece(last, palette.DIM), Piece(f"{word} ", palette.BAD), Piece(command(row), palette.DIM)


def short_line(columns: Sequence[Column], row: ProcessRow, indent: str, width: int) -> Pieces:
    """Processes of one program that came or went since the last refresh; how many there were is not cut."""
    name, times, number = row.cmdline.partition(" × ")
    branches, count, word = _branches(indent), times + number, "  short-lived"
    room = width - _used(columns) - len(branches) - len(count)
    return (
        *_figures(columns, row),
        Piece(branches, palette.DIM),
        Piece(name if cell_len(name) <= room else cells.fit(name, room), palette.STRONG),
        Piece(count, palette.LABEL),
        Piece(word if cell_len(name) + len(word) <= room else "", palette.DIM),
    )


def _figures(columns: Sequence[Column], row: ProcessRow) -> Pieces:
    return tuple(piece for column in columns for piece in (*column.draw(row, column.width), Piece(" ")))


def _branches(indent: str) -> str:
    """A deep tree leaves room for the commands in it."""
    return indent if len(indent) <= BRANCHES_MOST else "‥" + indent[1 - BRANCHES_MOST :]


def _marked(text: str, phrase: str, style: Style) -> Pieces:
    """A text in which what was filtered by stands out."""
    at = text.casefold().find(phrase.casefold()) if phrase else -1
    if at < 0 or len(text.casefold()) != len(text):
        return (Piece(text, style),)
    end = at + len(phrase)
    return Piece(text[:at], style), Piece(text[at:end], palette.MATCH), Piece(text[end:], style)
