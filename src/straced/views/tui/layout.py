"""What has room on a screen of some size, and how much of it. No widget in here."""

from __future__ import annotations

from typing import NamedTuple

SMALLEST = (40, 10)
BOTH_FROM = 30
"""From this height on the list and the panel are both on the screen."""
AROUND, LIST_LEAST, SLACK = 6, 8, 3
"""Lines of words around list and panel; of the list; and how many the list may have too many."""
BESIDE_FROM, PANEL_LEAST, PANEL_SHARE = 160, 82, 0.45
"""From this width on the panel stands beside the list; its least width, and its share of a wider screen."""
LOW = 16
"""Below this height the list matters more than the machine."""


class Layout(NamedTuple):
    """What is shown.

    Args:
        width: cells of the screen.
        height: lines of the screen.
        opened: whether the selected process has the whole of it.
    """

    width: int
    height: int
    opened: bool

    @property
    def too_small(self) -> bool:
        """Whether nothing useful has room."""
        return self.width < SMALLEST[0] or self.height < SMALLEST[1]

    @property
    def too_small_text(self) -> str:
        """What stands there instead."""
        needed = f"{self.width}x{self.height} is too small: at least {SMALLEST[0]}x{SMALLEST[1]} is needed."
        return f"{needed}\nq to quit; or: straced top --once"

    @property
    def low(self) -> bool:
        """Whether the lines about the machine are left out."""
        return self.height < LOW

    @property
    def beside(self) -> bool:
        """Whether list and panel are side by side, where both are shown."""
        return self.width >= BESIDE_FROM and not self.low

    @property
    def shows_both(self) -> bool:
        """Whether list and panel are there at a time."""
        return (self.height >= BOTH_FROM or self.beside) and not self.opened

    @property
    def panel_width(self) -> int:
        """Cells of the panel beside the list."""
        return max(PANEL_LEAST, int(PANEL_SHARE * self.width))

    @property
    def list_width(self) -> int:
        """Cells of the list."""
        return self.width - self.panel_width if self.beside and self.shows_both else self.width

    @property
    def shows_panel(self) -> bool:
        return self.opened or self.shows_both

    @property
    def shows_list(self) -> bool:
        return not self.opened or self.shows_both

    def list_height(self, rows: int, panel: int, before: int | None) -> int:
        """Lines of the list above a panel.

        A short list leaves its room to the panel and a short panel to the list; neither jumps with each line that comes
        or goes.

        Args:
            rows: processes in it.
            panel: lines that the panel has to show.
            before: its height until now, if it had one.
        """
        room = self.height - AROUND
        most = max(room // 2, room - panel - SLACK)
        wanted = max(LIST_LEAST, min(most, rows + 2))
        return wanted if before is None or not wanted <= before <= min(most, wanted + SLACK) else before
