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
            return "no process is selected"
        name = f"{row.pid} ({row.comm})"
        if self.rows.ended:
            return f"{name} {self.rows.missing}; no process is selected"
        if self.line is None:
            return f"{name} does not match the filter any more; no process is selected"
        return f"{name} is not on the screen: there is no room for it"

    @property
    def past(self) -> str:
        frame = self.rows.frame
        if frame is not None and frame.source == "history":
            return "this view is of the past; for what runs now: straced top"
        if frame is not None and frame.disconnected is not None:
            return "the service does not answer, and these rows are old; for what runs now: straced top --source local"
        return ""
