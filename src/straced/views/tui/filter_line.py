"""The line that a filter is typed into. It takes keys at once, so that the next key finds it as this one left it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.widget import Widget
from textual.widgets import Input

from straced.views.tui import palette
from straced.views.tui.click_line import ClickLine
from straced.views.tui.segments import Piece

FILTERS = ("filter", "any text; or call:read user:www job:build")
TIMES = ("go to", "a time: 08:12, yesterday 17:00, or -2h")
LONGEST = 200
"""Characters: a paste may be anything."""


class FilterLine(Input):
    """Open while it is on the screen; then all keys are its own."""

    DEFAULT_CSS = """
    FilterLine { height: 1; width: 1fr; border: none; padding: 0; display: none; background: ansi_default;
        color: ansi_default; }
    """
    EDITS: ClassVar[dict[str, str]] = {
        "left": "cursor_left", "right": "cursor_right", "home": "home", "end": "end", "ctrl+a": "home", "ctrl+e": "end",
        "backspace": "delete_left", "delete": "delete_right", "ctrl+w": "delete_left_word", "ctrl+u": "delete_left_all",
        "ctrl+k": "delete_right_all",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__(id="filter", placeholder=FILTERS[1], compact=True, max_length=LONGEST)
        self.prompt = ClickLine(id="prompt")
        self.found = ClickLine(id="found")

    def open(self, kind: tuple[str, str], text: str = "") -> None:
        """Take keys from now on.

        Args:
            kind: the prompt, and what stands in the empty line.
            text: what is in it already.
        """
        prompt, self.placeholder = kind
        self.prompt.styles.width = len(prompt) + 1
        self.prompt.put((Piece(f"{prompt} ", palette.KEY),))
        self.value, self.cursor_position = text, len(text)
        self.say("")
        self._show(True)

    def close(self) -> None:
        """Leave the keys to the others."""
        self._show(False)

    def say(self, text: str, *, bad: bool = False) -> None:
        """A word about what was typed so far, at the end of the line."""
        self.found.styles.width = len(text) + 1 if text else 0
        self.found.put((Piece(text, palette.BAD if bad else palette.DIM),))

    def _show(self, shown: bool) -> None:
        self.display = shown
        if self.parent is not None and isinstance(self.parent, Widget):
            self.parent.display = shown

    async def take(self, event: events.Key | events.Paste) -> None:
        """Type a key or a paste; what is neither text nor edits it does nothing."""
        if isinstance(event, events.Paste):
            line = next(filter(str.strip, event.text.splitlines()), "")
            self.insert_text_at_cursor("".join(each for each in line if each.isprintable())[:LONGEST])
        elif event.key in self.EDITS:
            await self.run_action(self.EDITS[event.key])
        elif event.is_printable and event.character is not None:
            self.insert_text_at_cursor(event.character)
