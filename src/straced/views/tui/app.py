"""The live screen: receives whole frozen frames, shows them, and sends requests to its feed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace
from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.widgets import Static

from straced.live.protocols import ScreenFeed
from straced.model.frame import Frame, ProcessDetail
from straced.views.tui import file_panel, status_lines
from straced.views.tui.chrome import ScreenChrome
from straced.views.tui.dialogs import RiskBox
from straced.views.tui.filter_line import FilterLine
from straced.views.tui.grid import Grid
from straced.views.tui.layout import Layout
from straced.views.tui.messages import DetailReady, FeedFailed, FrameReady
from straced.views.tui.panel import Panel
from straced.views.tui.processes import ProcessLines
from straced.views.tui.rows import Line, ProcessRows
from straced.views.tui.selection import RowSelection
from straced.views.tui.view_actions import ViewActions

TICK_S = 0.5
"""How often the age of the data is shown anew."""


class TopApp(RowSelection, ViewActions, App[None]):
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
    Toast, Toast:ansi { background: ansi_default; color: ansi_default; padding: 0 1;
        border-left: outer ansi_cyan; }
    Toast.-error { border-left: outer ansi_red; }
    #both { height: 1fr; }
    #filtering { height: 1; display: none; padding: 0 1; }
    #prompt, #found { height: 1; width: auto; }
    .beside #both { layout: horizontal; }
    .beside #panel { height: 1fr; border-left: solid ansi_bright_black; }
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
        self.paused = False
        self.opened = False
        self._list_height: int | None = None
        self.picks, self._picked = True, False
        self.mode = "working"
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
            with Vertical(id="both"):
                yield self.list
                yield self.panel
            yield from self.around.below
            with Horizontal(id="filtering"):
                yield self.entry.prompt
                yield self.entry
                yield self.entry.found
        yield self._small

    def on_mount(self) -> None:
        self.list.on_move = self._moved
        self._room = self.size
        self.lay_out()
        self.feed.start(self)
        self.set_interval(TICK_S, self.draw_words)

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
        if self.paused or not self.screen_stack:  # it may come while the screen is being taken down
            return
        self.rows.update(message.frame)
        self._draw_list()
        first = self.rows.looked_at is None and message.frame.source == "history"  # the minutes before had nobody
        if first or (self.picks and (not self._picked or self.rows.ended)):
            self._pick(message.frame)
        elif isinstance(self.screen, RiskBox):
            self.screen.follow(self.rows.find(self.screen.row.key))
        self.draw_words()
        self.say_found()
        self._draw_panel()

    def _pick(self, frame: Frame) -> None:
        """Begin at the busiest process; at the first line until figures are there."""
        busiest = self.rows.busiest
        if busiest is not None:
            self.list.go_to(busiest)
        elif self.rows.looked_at is None:
            self.list.action_jump(0)
        self.picks, self._picked = True, busiest is not None and (frame.tracer is not None or frame.uncounted)

    def on_detail_ready(self, message: DetailReady) -> None:
        looked_at, detail, before = self.rows.looked_at, message.detail, self._detail
        other = looked_at is not None and self._detail_key() != looked_at.key
        if not self.paused or other or self._waits_for_files:
            if detail.gone and before is not None and before.key == detail.key:  # what it did last stays in sight
                detail = replace(before, gone=True, by_file=detail.by_file or before.by_file)
            self._detail = detail
            self._draw_panel()

    @property
    def _waits_for_files(self) -> bool:
        """Whether files and peers are to be seen, and nothing is there yet."""
        return self.panel.by_file and file_panel.shown(self._detail).duration_ns is None

    def on_feed_failed(self, message: FeedFailed) -> None:
        self.error = message.error
        self.exit()

    @property
    def too_small(self) -> bool:
        return self._shape.too_small

    # --- drawing ---

    @property
    def _shape(self) -> Layout:
        return Layout(self._room.width, self._room.height, self.opened)

    def on_resize(self, event: events.Resize) -> None:
        self._room = event.size  # App.size follows later
        self.lay_out()

    def lay_out(self) -> None:
        if not self.screen_stack:
            return
        layout, base = self._shape, self.screen_stack[0]  # a box may be on it
        base.set_class(layout.too_small, "small")
        base.set_class(layout.low, "low")
        self._small.update(Text(layout.too_small_text))
        self.panel.display, self.list.display = layout.shows_panel, layout.shows_list
        base.set_class(layout.beside and layout.shows_both, "beside")
        self.look()
        self._list_height = None
        self.list.styles.height = "1fr"
        self.list.styles.width = layout.list_width
        self.panel.styles.width = layout.panel_width if layout.beside and layout.shows_both else "100%"
        if not self.entry.display:
            base.set_focus(self.panel.grid if self.opened else self.list)
        self.redraw()

    def look(self) -> None:
        self.feed.look_at_files(self.panel.by_file)

    def redraw(self) -> None:
        self._draw_list()
        self.draw_words()
        self._draw_panel()

    def _draw_list(self) -> None:
        self.listed = self.rows.lines()
        if self.list.display and self.panel.display and not self._shape.beside:
            self._list_height = self._shape.list_height(len(self.listed), self.panel.lines, self._list_height)
            self.list.styles.height = self._list_height
        lines = ProcessLines(self.rows, self.listed, self._shape.list_width - 1, self.mode)
        self.list.empty = lines.empty
        self.list.show(lines.title, [line.key for line in self.listed], lines.line)

    def _moved(self, index: int) -> None:
        row = self.listed[index].row
        leaves_ended, self.picks, self.hidden = self.rows.ended, False, None
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
            self.panel.show(row, self._detail, self.rows.frame, sort=self.rows.order, mode=self.mode)

    def draw_words(self) -> None:
        if not self.screen_stack:  # the clock ticks while the screen is being taken down
            return
        state = status_lines.State(
            paused=self.paused,
            age_s=(self._clock() - self.rows.frame.monotonic_ns) / 1e9 if self.rows.frame else 0.0,
            interval_s=self._interval_s,
            sort=self.rows.order,
            mode=self.mode,
            filter=self.rows.filter,
            matching=len(self.rows.shown) if self.rows.filter else 0,
            place=self.place,
            traces=tuple(trace for trace in self.feed.traces() if trace.running),
        )
        self.around.show(self.rows.frame, state, self._room.width - 2)
