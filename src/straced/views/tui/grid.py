"""A list that draws only the lines that are on the screen, so that a thousand processes cost what twenty do.

Lines are plain text in, segments out: nothing in here reads markup, and no cell is wider than it should be. The first
cell of each line is a margin, in which the chosen one is marked. What is chosen is a thing, not a place: the cursor
follows it to wherever it is drawn next, and there is no cursor while it is not among the lines.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from straced.views.tui import palette
from straced.views.tui.cells import fit
from straced.views.tui.click_line import Clicked
from straced.views.tui.segments import Piece, Pieces, action_at

_MARGIN, _MARK = Piece(" "), Piece("▸", palette.KEY)
_THUMB = "▐"
"""At the right end of the lines that are to be seen of all there are."""


class Grid(Widget, can_focus=True):
    """Titles, lines and a cursor. ``render`` is asked for a line only when it is to be seen."""

    KEYS: ClassVar[dict[str, str]] = {
        "up": "move(-1)", "k": "move(-1)", "down": "move(1)", "j": "move(1)", "pageup": "page(-1)",
        "pagedown": "page(1)", "home": "jump(0)", "g": "jump(0)", "end": "jump(-1)", "G": "jump(-1)",
    }  # fmt: skip

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.cursor: int | None = None
        """The line of what is chosen; ``None`` while that is not among the lines."""
        self.top = 0
        self._chosen: Hashable | None = None
        self._place = 0
        """Where the cursor was last."""
        self._ids: Sequence[Hashable | None] = ()
        self._drawn: dict[int, Hashable | None] = {}
        self._title: Callable[[int], Pieces] = lambda width: ()
        self._line: Callable[[int, int], Pieces] = lambda index, width: ()
        self.empty: Pieces = ()
        """What stands there while there are no lines."""
        self.on_move: Callable[[int], None] = lambda index: None
        self.on_room: Callable[[], None] = lambda: None
        """Called when there is room for more lines, or for fewer."""

    @property
    def count(self) -> int:
        return len(self._ids)

    @property
    def room(self) -> int:
        """Lines that there is room for below the titles."""
        return max(0, self.size.height - 1)

    @property
    def shows_cursor(self) -> bool:
        """Whether the chosen line is among those that there is room for."""
        return self.cursor is not None and 0 <= self.cursor - self.top < self.size.height - 1

    def show(
        self,
        title: Callable[[int], Pieces],
        ids: Sequence[Hashable | None],
        line: Callable[[int, int], Pieces],
    ) -> None:
        """Replace all lines; the cursor goes with what is chosen.

        Args:
            title: draws the titles into a width.
            ids: what each line is about, the same from one call to the next; ``None`` cannot be chosen.
            line: draws the line of an index into a width.
        """
        self._title, self._ids, self._line = title, ids, line
        before = self.cursor
        self._follow()
        if self.cursor is not None and self.cursor != before and self.cursor < self.room:
            self.top = 0  # what it hangs below is to be seen, too

    def show_texts(
        self, title: Pieces, lines: Sequence[Pieces], *, above: Sequence[Pieces] = (), below: Sequence[Pieces] = ()
    ) -> None:
        """Show lines that are there already; the cursor keeps its place among them, not those around."""
        self._chosen = max(0, min(self._place - len(above), len(lines) - 1))
        shown, ids = [*above, *lines, *below], [*[None] * len(above), *range(len(lines)), *[None] * len(below)]
        self.show(lambda width: title, ids, lambda index, width: shown[index])

    def put_cursor(self, index: int) -> None:
        """Move the cursor without telling anybody."""
        self._place = index
        self._chosen = self._ids[index] if index < len(self._ids) else None
        self._follow()

    def go_to(self, chosen: Hashable) -> None:
        """Choose a line by what it is about, and tell of it."""
        if chosen in self._ids:
            self._go(self._ids.index(chosen), 1)

    def action_move(self, by: int) -> None:
        self._go(self._place if self.cursor is None else self.cursor + by, by)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        self._go(to if to >= 0 else self.count - 1, 1 if to >= 0 else -1)

    def on_click(self, event: events.Click) -> None:
        """Choose what was to be seen there, wherever its line is now; or do what the title stands for."""
        if event.y == 0:
            action = action_at(self._title(self.size.width), event.x - len(_MARGIN.text))
            if action:
                self.post_message(Clicked(action))
            return
        clicked = self._drawn.get(event.y)
        if clicked is not None and clicked in self._ids:
            self._go(self._ids.index(clicked), 1)

    def on_mouse_scroll_down(self) -> None:
        self.action_move(3)

    def on_mouse_scroll_up(self) -> None:
        self.action_move(-3)

    def on_resize(self) -> None:
        self.on_room()
        self._scroll()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return _strip((_MARGIN, *self._title(width)), width)
        index = self.top + y - 1
        self._drawn[y] = self._ids[index] if index < self.count else None
        if index >= self.count:
            return _strip((_MARGIN, *self.empty), width) if y == 2 and not self.count else Strip.blank(width)
        room = width if self.room >= self.count else width - 1
        if index != self.cursor:
            strip = _strip((_MARGIN, *self._line(index, room)), room)
        else:
            strip = _strip((_MARK, *self._line(index, room)), room, palette.cursor(focused=self.has_focus))
        if room == width:
            return strip
        return Strip([*strip, Segment(_THUMB if y - 1 in self._thumb else " ", palette.LABEL)], width)

    @property
    def _thumb(self) -> range:
        """The lines beside which the bar says which part of all this is."""
        size = max(1, self.room * self.room // self.count)
        first = round((self.room - size) * self.top / (self.count - self.room))
        return range(first, first + size)

    def _go(self, to: int, by: int) -> None:
        """To the next line from ``to`` on that can be chosen; back where there is none in that direction."""
        to = max(0, min(to, self.count - 1))
        onwards, back = range(to, self.count), range(to, -1, -1)
        ways = (*onwards, *back) if by > 0 else (*back, *onwards)
        index = next((each for each in ways if each < self.count and self._ids[each] is not None), None)
        if index is not None and index != self.cursor:
            self.put_cursor(index)
            self.on_move(index)

    def _follow(self) -> None:
        found = self._chosen is not None and self._chosen in self._ids
        self.cursor = self._ids.index(self._chosen) if found else None
        if self.cursor is not None:
            self._place = self.cursor
        self._scroll()
        self.refresh()

    def _scroll(self) -> None:
        room = max(1, self.size.height - 1)
        self.top = max(0, min(self.top, self.count - room))
        if self.cursor is None:
            return
        first = self.cursor
        while room > 1 and first > 0 and self._ids[first - 1] is None and self.cursor - first < room - 1:
            first -= 1  # the heads above it, where nothing can go, stay in sight
        self.top = min(self.top, first)
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
