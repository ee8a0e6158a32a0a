"""The live screen: receives whole frozen frames, shows them, and sends requests to its feed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static

from straced.live.protocols import ScreenFeed
from straced.model.frame import Frame, ProcessDetail
from straced.views.tui import status_lines
from straced.views.tui.chrome import ScreenChrome
from straced.views.tui.dialogs import RiskBox
from straced.views.tui.filter_line import FilterLine
from straced.views.tui.grid import Grid
from straced.views.tui.keyboard import Keyboard
from straced.views.tui.layout import Layout
from straced.views.tui.messages import DetailReady, FeedFailed, FrameReady
from straced.views.tui.panel import Panel
from straced.views.tui.processes import ProcessLines
from straced.views.tui.rows import SORTS, Line, ProcessRows
from straced.views.tui.selection import RowSelection

MODES = ("working", "waiting", "wall")
TICK_S = 0.5
"""How often the age of the data is shown anew."""


class TopApp(RowSelection, Keyboard, App[None]):
    """``straced top``.

    Args:
        feed: where frames come from, and what can be done to a process.
        interval_s: how often it was asked to refresh; shown.
        rows: how to sort and filter.
        clock: monotonic nanoseconds.
    """

    CSS = """
    Screen { layout: vertical; background: ansi_default; color: ansi_default; }
    Box { background: transparent; }
    .words { height: 1; padding: 0 1; }
    #banners { height: auto; max-height: 4; display: none; padding: 0 1; }
    #list { height: 1fr; }
    #small { display: none; }
    .small #small { display: block; }
    .low #errors, .low #machine { display: none; }
    .small #all { display: none; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self, feed: ScreenFeed, *, interval_s: float, rows: ProcessRows, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.feed = feed
        self.rows = rows
        self.error: BaseException | None = None
        """Why the screen was left, where that was not wished for."""
        self._interval_s = interval_s
        self._clock = clock
        self._paused = False
        self.opened = False
        self._list_height: int | None = None
        self._mode = "working"
        self._room = Size(80, 24)
        self.listed: list[Line] = []
        self._detail: ProcessDetail | None = None
        # kept, since a message may still come while the screen is being taken down
        self.around = ScreenChrome()
        self._small = Static(id="small", markup=False)
        self.entry = FilterLine()
        self.list = Grid(id="list")
        self.panel = Panel()
        self.unreported = deque()

    def compose(self) -> ComposeResult:
        with Vertical(id="all"):
            yield from self.around.above
            yield self.list
            yield self.panel
            yield from self.around.below
            yield self.entry
        yield self._small

    def on_mount(self) -> None:
        self.list.on_move = self._moved
        self._room = self.size
        self._lay_out()
        self.feed.start(self)
        self.set_interval(TICK_S, self._draw_words)

    def on_unmount(self) -> None:
        self.feed.close()

    # --- from the feed's thread ---

    def frame_ready(self, frame: Frame) -> None:
        self.post_message(FrameReady(frame))

    def detail_ready(self, detail: ProcessDetail) -> None:
        self.post_message(DetailReady(detail))

    def failed(self, error: BaseException) -> None:
        self.post_message(FeedFailed(error))

    # --- what has come ---

    def on_frame_ready(self, message: FrameReady) -> None:
        if self._paused or not self.screen_stack:  # it may come while the screen is being taken down
            return
        self.rows.update(message.frame)
        self._draw_list()
        if self.rows.looked_at is None:
            self.list.action_jump(0)
        elif isinstance(self.screen, RiskBox):
            self.screen.follow(self.rows.find(self.screen.row.key))
        self._draw_words()
        self._draw_panel()

    def on_detail_ready(self, message: DetailReady) -> None:
        looked_at = self.rows.looked_at
        if not self._paused or (looked_at is not None and self._detail_key() != looked_at.key):
            self._detail = message.detail
            self._draw_panel()

    def on_feed_failed(self, message: FeedFailed) -> None:
        self.error = message.error
        self.exit()

    # --- keys ---

    def action_open(self) -> None:
        if self.opened or self.subject() is not None:
            self.opened = not self.opened
            self._lay_out()

    def action_leave(self) -> None:
        if self.opened:
            self.opened = False
            self._lay_out()
        elif self.rows.filter:
            self.entry.value = ""
            self.filter_by("")

    def action_other_table(self) -> None:
        other = self.panel.grid if self.table is self.list else self.list
        if other.display and self.panel.display:
            self.screen.set_focus(other)

    def action_tab(self, number: int) -> None:
        self.panel.turn(number)

    def action_turn(self, by: int) -> None:
        self.panel.turn(self.panel.tab + by)

    def action_sort(self, by: int) -> None:
        self.rows.sort = SORTS[(SORTS.index(self.rows.sort) + by) % len(SORTS)]
        self._redraw()

    def action_mode(self) -> None:
        self._mode = MODES[(MODES.index(self._mode) + 1) % len(MODES)]
        if self.rows.sort in MODES:
            self.rows.sort = self._mode
        self._redraw()

    def action_flat(self) -> None:
        self.rows.flat = not self.rows.flat
        self._redraw()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._draw_words()

    def action_filter(self) -> None:
        if self.opened:  # what is filtered is to be seen
            self.opened = False
            self._lay_out()
        self.entry.value = self.rows.filter
        self.entry.cursor_position = len(self.rows.filter)
        super().action_filter()

    def filter_by(self, text: str) -> None:
        if text == self.rows.filter:
            return
        self.rows.filter = text
        self._draw_list()
        if self.list.cursor is None:
            self.list.action_jump(0)
        self._draw_words()
        self._draw_panel()

    @property
    def table(self) -> Grid:
        in_panel = self.opened or self.screen_stack[0].focused is self.panel.grid
        return self.panel.grid if in_panel else self.list

    @property
    def too_small(self) -> bool:
        return self._shape.too_small

    # --- drawing ---

    @property
    def _shape(self) -> Layout:
        return Layout(self._room.width, self._room.height, self.opened)

    def on_resize(self, event: events.Resize) -> None:
        self._room = event.size  # App.size follows later
        self._lay_out()

    def _lay_out(self) -> None:
        layout, base = self._shape, self.screen_stack[0]  # a box may be on it
        base.set_class(layout.too_small, "small")
        base.set_class(layout.low, "low")
        self._small.update(Text(layout.too_small_text))
        self.panel.display, self.list.display = layout.shows_panel, layout.shows_list
        self._list_height = None
        self.list.styles.height = "1fr"
        if not self.entry.display:
            base.set_focus(self.panel.grid if self.opened else self.list)
        self._redraw()

    def _redraw(self) -> None:
        self._draw_list()
        self._draw_words()
        self._draw_panel()

    def _draw_list(self) -> None:
        self.listed = self.rows.lines()
        if self.list.display and self.panel.display:
            self._list_height = self._shape.list_height(len(self.listed), self._list_height)
            self.list.styles.height = self._list_height
        lines = ProcessLines(self.rows, self.listed, self._room.width - 1, self._mode)
        self.list.show(lines.title, [line.key for line in self.listed], lines.line)

    def _moved(self, index: int) -> None:
        row = self.listed[index].row
        leaves_ended = self.rows.ended
        self.rows.look_at(row)
        self.feed.choose(row.key if row is not None else None)
        if leaves_ended and not self.rows.ended:
            self._draw_list()
        self._draw_panel()

    def _detail_key(self) -> tuple[int, int] | None:
        return self._detail.key if self._detail is not None else None

    def _draw_panel(self) -> None:
        if self.panel.display and self.rows.frame is not None:
            row = self.line.row if self.line is not None else None
            self.panel.show(row, self._detail, self.rows.frame.notes, sort=self.rows.sort, mode=self._mode)

    def _draw_words(self) -> None:
        state = status_lines.State(
            paused=self._paused,
            age_s=(self._clock() - self.rows.frame.monotonic_ns) / 1e9 if self.rows.frame else 0.0,
            interval_s=self._interval_s,
            sort=self.rows.sort,
            mode=self._mode,
            filter=self.rows.filter,
            traces=tuple(trace for trace in self.feed.traces() if trace.running),
        )
        self.around.show(self.rows.frame, state, self._room.width - 2)
