"""What keys and clicks do to the view itself: which rows, in which order, and how much of them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widget import Widget

from straced.model.frame import Key
from straced.views.tui.actions import ONLY_NOW
from straced.views.tui.dialogs import Box
from straced.views.tui.filter_line import FILTERS, TIMES
from straced.views.tui.grid import Grid
from straced.views.tui.keyboard import Keyboard
from straced.views.tui.panel import Panel
from straced.views.tui.rows import SORTS, Line, ProcessRows

MODES = ("working", "waiting", "wall")


class ViewActions(Keyboard):
    """The part of the app that changes what is shown; nothing in here touches a process."""

    rows: ProcessRows
    panel: Panel
    opened: bool
    """Whether the selected process has the whole screen."""
    paused: bool
    mode: str
    listed: Sequence[Line]
    hidden: Key | None = None
    """The process that was selected until the filter hid it; chosen again once it matches, unless another was since."""
    _asks_time = False
    """Whether what is typed is a time, and no filter."""

    def redraw(self) -> None:
        """Draw everything anew."""
        raise NotImplementedError

    def lay_out(self) -> None:
        """Share the room out anew."""
        raise NotImplementedError

    @property
    def table(self) -> Grid:
        in_panel = self.opened or self.screen_stack[0].focused is self.panel.grid
        return self.panel.grid if in_panel else self.list

    @property
    def place(self) -> str:
        """What the next key goes to, for the line that says what keys there are."""
        frame = self.rows.frame
        if isinstance(self.screen, Box):
            return "box"
        if self.entry.display:
            return "time" if self._asks_time else "filter"
        if self.table is self.panel.grid:
            return "panel"
        if self.paused:
            return "paused"
        if self.rows.ended:
            return "ended"
        if self.rows.filter:
            return "filtered"
        return "history" if frame is not None and frame.source == "history" else "list"

    def look(self) -> None:
        """Say what of the selected process is to be counted, for it is to be seen."""
        raise NotImplementedError

    def action_open(self) -> None:
        if self.opened or self.subject() is not None:
            self.opened = not self.opened
            self.lay_out()

    def action_leave(self) -> None:
        if self.opened:
            self.opened = False
            self.lay_out()
        elif self.table is self.panel.grid:
            self.action_other_table()
        elif self.rows.filter:
            self.filter_by("")

    def action_top(self) -> None:
        self.list.action_jump(0)

    def action_other_table(self) -> None:
        other: Widget = self.panel.grid if self.table is self.list else self.list
        if other.display and self.panel.display:
            self.screen.set_focus(other)
            self.draw_words()

    def action_tab(self, number: int) -> None:
        self.panel.turn(number)
        self.look()

    def action_turn(self, by: int) -> None:
        self.panel.turn(self.panel.tab + by)
        self.look()

    def action_sort(self, by: int) -> None:
        self.action_sort_by(SORTS[(SORTS.index(self.rows.sort) + by) % len(SORTS)])

    def action_sort_by(self, column: str) -> None:
        self.rows.sort = column
        self.redraw()

    def action_mode(self) -> None:
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]
        if self.rows.sort in MODES:
            self.rows.sort = self.mode
        self.redraw()

    def action_flat(self) -> None:
        self.rows.flat = not self.rows.flat
        self.redraw()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self.draw_words()

    def action_go_to(self) -> None:
        """Ask for a time, where there is any but now."""
        frame = self.rows.frame
        if frame is None or frame.source != "history":
            if frame is not None:
                self.say(ONLY_NOW)
            return
        self._asks_time = True
        self.open_line(TIMES)
        self.draw_words()

    def action_filter(self) -> None:
        self._asks_time = False
        if self.opened:  # what is filtered is to be seen
            self.opened = False
            self.lay_out()
        self.open_line(FILTERS, self.rows.filter)
        self.say_found()
        self.draw_words()

    def close_filter(self) -> None:
        super().close_filter()
        self.draw_words()

    def typed(self, text: str) -> None:
        if not self._asks_time:
            self.filter_by(text)
            self.say_found()

    def entered(self, text: str) -> None:
        if not self._asks_time:
            self.filter_by(text)
            if self.list.cursor is not None:  # who keeps a filter has chosen what it leaves
                self.hidden = None
        elif text.strip():
            self.go_to(text)

    def filter_by(self, text: str) -> None:
        """Show only what some text occurs in."""
        if text == self.rows.filter:
            return
        looked_at, hidden = self.rows.looked_at, self.hidden
        self.rows.filter = text
        self.redraw()
        if hidden is not None and any(line.key == hidden for line in self.listed):
            self.list.go_to(hidden)
        elif self.list.cursor is None:
            self.list.action_jump(0)
            self.hidden = hidden or (looked_at.key if looked_at is not None else None)

    def say_found(self) -> None:
        """Tell who types a filter what it leaves."""
        if self.place != "filter":
            return
        if self.entry.value and self.rows.frame is not None:
            found = len(self.rows.shown)
            self.entry.say(f"{found:,} of {len(self.rows.frame.processes):,}", bad=not found)
        else:
            self.entry.say("")
