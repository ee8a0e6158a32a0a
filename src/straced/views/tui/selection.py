"""What keys act upon: the process under the cursor that is to be seen, or nothing, and then the reason for that."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.frame import ProcessRow
from straced.views.tui.grid import Grid
from straced.views.tui.rows import Line, ProcessRows


class RowSelection:
    """The part of the app that tells the selected process, by the line that is drawn and nothing else."""

    rows: ProcessRows
    list: Grid
    listed: Sequence[Line]
    opened: bool
    """Whether the selected process has the whole screen."""

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        at = self.list.cursor
        return self.listed[at] if at is not None else None

    @property
    def chosen(self) -> ProcessRow | None:
        """The process under the cursor, which is to be seen: what keys act upon. One that has ended is none."""
        if self.line is None or self.line.ended or not (self.opened or self.list.shows_cursor):
            return None
        return self.line.row

    @property
    def nobody(self) -> str:
        row = self.rows.looked_at
        if row is None:
            return "no process selected"
        name = f"{row.pid} ({row.comm})"
        if self.rows.ended:
            return f"{name} {self.rows.missing}; no process selected"
        if self.line is None:
            return f"{name} no longer matches the filter; no process selected"
        return f"{name} is not visible: the screen is too small"

    @property
    def past(self) -> str:
        frame = self.rows.frame
        if frame is not None and frame.source == "history":
            return "This view shows the past. For the present: straced top"
        if frame is not None and frame.disconnected is not None:
            return "The service does not answer; these rows are old. For the present: straced top --source local"
        return ""
