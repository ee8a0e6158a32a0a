"""A list that draws only the lines that are on the screen, so that a thousand processes cost what twenty do.

Lines are plain text in, segments out: nothing in here reads markup, and no cell is wider than it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from straced.views.tui.cells import fit

TITLE = Style(bold=True, reverse=True)
CURSOR = Style(reverse=True)
CURSOR_AWAY = Style(underline=True)
"""Where another table has the keys."""


class GridLine(NamedTuple):
    """One line and how it is meant."""

    text: str
    style: Style = Style.null()


class Grid(Widget, can_focus=True):
    """Titles, lines and a cursor. ``render`` is asked for a line only when it is to be seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "jump(0)", show=False),
        Binding("end,G", "jump(-1)", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.top = 0
        self.count = 0
        self._title: Callable[[int], str] = lambda width: ""
        self._line: Callable[[int, int], GridLine] = lambda index, width: GridLine("")
        self.on_move: Callable[[int], None] = lambda index: None

    def show(self, title: Callable[[int], str], count: int, line: Callable[[int, int], GridLine]) -> None:
        """Replace all lines: ``title(width)`` and ``line(index, width)`` draw them."""
        self._title, self.count, self._line = title, count, line
        self.cursor = max(0, min(self.cursor, count - 1))
        self._scroll()
        self.refresh()

    def show_texts(self, title: str, lines: Sequence[GridLine]) -> None:
        """The same for lines that are there already."""
        self.show(lambda width: title, len(lines), lambda index, width: lines[index])

    def put_cursor(self, index: int) -> None:
        """Move the cursor without telling anybody."""
        self.cursor = max(0, min(index, self.count - 1))
        self._scroll()
        self.refresh()

    def action_move(self, by: int) -> None:
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._go(self.cursor + by * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        self._go(to if to >= 0 else self.count - 1)

    def on_click(self, event: events.Click) -> None:
        if event.y > 0 and self.top + event.y - 1 < self.count:
            self._go(self.top + event.y - 1)

    def on_mouse_scroll_down(self) -> None:
        self.action_move(3)

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-3)

    def on_resize(self) -> None:
        self._scroll()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return _strip(GridLine(self._title(width), TITLE), width)
        index = self.top + y - 1
        if index >= self.count:
            return Strip.blank(width)
        line = self._line(index, width)
        if index == self.cursor:
            line = GridLine(line.text, line.style + (CURSOR if self.has_focus else CURSOR_AWAY))
        return _strip(line, width)

    def _go(self, to: int) -> None:
        before, self.cursor = self.cursor, max(0, min(to, self.count - 1))
        if self.cursor != before:
            self._scroll()
            self.refresh()
            self.on_move(self.cursor)

    def _scroll(self) -> None:
        room = max(1, self.size.height - 1)
        self.top = max(0, min(self.top, self.cursor, self.count - room))
        if self.cursor >= self.top + room:
            self.top = self.cursor - room + 1


def _strip(line: GridLine, width: int) -> Strip:
    return Strip([Segment(fit(line.text, width), line.style)], width)
