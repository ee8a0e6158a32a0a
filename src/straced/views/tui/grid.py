"""A list that draws only the lines that are on the screen, so that a thousand processes cost what twenty do.

Lines are plain text in, segments out: nothing in here reads markup, and no cell is wider than it should be. The first
cell of each line is a margin, in which the chosen one is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widget import Widget

from straced.views.tui import palette
from straced.views.tui.cells import fit
from straced.views.tui.pieces import Piece, Pieces

_MARGIN, _MARK = Piece(" "), Piece("▸", palette.KEY)


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
        self._title: Callable[[int], Pieces] = lambda width: ()
        self._line: Callable[[int, int], Pieces] = lambda index, width: ()
        self.on_move: Callable[[int], None] = lambda index: None

    def show(self, title: Callable[[int], Pieces], count: int, line: Callable[[int, int], Pieces]) -> None:
        """Replace all lines: ``title(width)`` and ``line(index, width)`` draw them."""
        self._title, self.count, self._line = title, count, line
        self.cursor = max(0, min(self.cursor, count - 1))
        self._scroll()
        self.refresh()

    def show_texts(self, title: Pieces, lines: Sequence[Pieces]) -> None:
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
            return _strip((_MARGIN, *self._title(width)), width)
        index = self.top + y - 1
        if index >= self.count:
            return Strip.blank(width)
        if index != self.cursor:
            return _strip((_MARGIN, *self._line(index, width)), width)
        return _strip((_MARK, *self._line(index, width)), width, palette.cursor(focused=self.has_focus))

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


def _strip(line: Pieces, width: int, over: Style = palette.NOTHING) -> Strip:
    """A line of exactly ``width`` cells; what is cut ends in an ellipsis."""
    segments, left = [], width
    for number, piece in enumerate(line):
        size = cell_len(piece.text)
        last = number == len(line) - 1
        text = piece.text if size <= left and not last else fit(piece.text, left if last else min(size, left))
        segments.append(Segment(text, piece.style + over))
        left -= cell_len(text)
        if left <= 0:
            break
    if left > 0:
        segments.append(Segment(" " * left, over))
    return Strip(segments, width)
