"""The lines of the process list, drawn when they are to be seen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from straced.views.tui import columns
from straced.views.tui.grid import GridLine
from straced.views.tui.rows import TITLES, Line, Rows

_STATES = {
    "R": Style(color="green"),
    "D": Style(color="red", bold=True),
    "T": Style(color="yellow"),
    "t": Style(color="yellow"),
    "Z": Style(dim=True),
}


class ProcessLines:
    """Lines for a screen of a certain width."""

    def __init__(self, rows: Rows, listed: Sequence[Line], width: int, mode: str) -> None:
        self._rows = rows
        self._listed = listed
        self._columns = columns.fitting(width, mode)

    def title(self, width: int) -> str:
        """The titles of the columns."""
        return columns.title_line(self._columns, width, TITLES[self._rows.sort])

    def line(self, index: int, width: int) -> GridLine:
        """The head of a job, a process, or one that is no more."""
        line = self._listed[index]
        if line.row is None:
            return GridLine(line.job, Style(bold=True))
        if line.ended:
            return GridLine(columns.ended_line(self._columns, line.row, width), Style(dim=True))
        text = columns.row_line(self._columns, self._rows.with_trail(line.row), line.indent, width)
        return GridLine(text, _STATES.get(line.row.state, Style.null()))
