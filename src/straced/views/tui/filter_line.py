"""The line that a filter is typed into. It takes keys at once, so that the next key finds it as this one left it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.widgets import Input

LONGEST = 200
"""Characters: a paste may be anything."""


class FilterLine(Input):
    """Open while it is on the screen; then all keys are its own."""

    DEFAULT_CSS = """
    FilterLine { height: 1; border: none; padding: 0 1; display: none; background: ansi_default; color: ansi_default; }
    """
    EDITS: ClassVar[dict[str, str]] = {
        "left": "cursor_left", "right": "cursor_right", "home": "home", "end": "end", "ctrl+a": "home", "ctrl+e": "end",
        "backspace": "delete_left", "delete": "delete_right", "ctrl+w": "delete_left_word", "ctrl+u": "delete_left_all",
        "ctrl+k": "delete_right_all",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__(
            id="filter", placeholder="name, command line, pid, job or call", compact=True, max_length=LONGEST
        )

    async def take(self, event: events.Key | events.Paste) -> None:
        """Type a key or a paste; what is neither text nor edits it does nothing."""
        if isinstance(event, events.Paste):
            line = next(filter(str.strip, event.text.splitlines()), "")
            self.insert_text_at_cursor("".join(each for each in line if each.isprintable())[:LONGEST])
        elif event.key in self.EDITS:
            await self.run_action(self.EDITS[event.key])
        elif event.is_printable and event.character is not None:
            self.insert_text_at_cursor(event.character)
