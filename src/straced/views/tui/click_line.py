"""A line of words, some of which can be clicked: the tabs, the keys at the bottom."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from straced.views.tui.segments import Pieces, action_at


class Clicked(Message):
    """Something was clicked that a key would do, too."""

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__()


class ClickLine(Static):
    """One line; what it was given as pieces last is what a click finds."""

    def __init__(self, *, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._pieces: Pieces = ()

    def put(self, pieces: Pieces) -> None:
        """Show other pieces."""
        self._pieces = pieces
        text = Text(no_wrap=True, overflow="ellipsis")
        for piece in pieces:
            text.append(piece.text, piece.style)
        self.update(text)

    def on_click(self, event: events.Click) -> None:
        x = event.get_content_offset(self)
        action = action_at(self._pieces, x.x) if x is not None else ""
        if action:
            self.post_message(Clicked(action))
