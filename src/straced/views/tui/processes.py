"""The lines of the process list, drawn when they are to be seen."""

from __future__ import annotations

import time
from collections.abc import Sequence

from straced.model.frame import Frame
from straced.views.tui import columns, palette
from straced.views.tui.header import moment
from straced.views.tui.rows import TITLES, Line, ProcessRows
from straced.views.tui.segments import Piece, Pieces


def elsewhere(frame: Frame) -> str:
    """Where there is something, for who looks at a minute of which nothing is kept."""
    if frame.kept_since is None:
        return "[ and ] go to the minutes around it, : to a time."
    began = moment(frame.kept_since, frame.epoch_s)
    return f"History begins at {began}: type : and {time.strftime('%H:%M', time.localtime(frame.kept_since))}."


class ProcessLines:
    """Lines for a screen of a certain width."""

    def __init__(self, rows: ProcessRows, listed: Sequence[Line], width: int, mode: str) -> None:
        self._rows = rows
        self._listed = listed
        self._columns = columns.fitting(width, mode, columns.unknown(rows.frame), TITLES[rows.order])

    @property
    def empty(self) -> Pieces:
        """What stands in a list without a process, and what to do about it."""
        if self._rows.filter:
            words = f'No process matches "{self._rows.filter}".'
            return Piece(words, palette.STRONG), Piece("  Esc clears the filter, / changes it.", palette.DIM)
        frame = self._rows.frame
        if frame is None:
            return ()
        if frame.source == "history":
            return Piece("No history for this minute.", palette.STRONG), Piece(f"  {elsewhere(frame)}", palette.DIM)
        words = "No process." if frame.source == "local" else "The service watches no process that you may see."
        return Piece(words, palette.STRONG), Piece("  straced watch ls, or straced top --source local", palette.DIM)

    def title(self, width: int) -> Pieces:
        """The titles of the columns."""
        return columns.title_line(self._columns, TITLES[self._rows.order])

    def line(self, index: int, width: int) -> Pieces:
        """The head of a job, a process, one that is no more, or those that came and went."""
        line = self._listed[index]
        if line.short is not None:
            return columns.short_line(self._columns, self._rows.with_trail(line.short), line.indent, width - 1)
        if line.row is None:
            return Piece("▾ ", palette.LABEL), Piece(line.job, palette.KEY)
        if line.ended:
            return columns.ended_line(self._columns, line.row, self._rows.missing)
        return columns.row_line(self._columns, self._rows.with_trail(line.row), line.indent, self._rows.wanted.phrase)
