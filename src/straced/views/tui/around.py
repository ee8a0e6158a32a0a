"""The words above and below the list."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from straced.live.values import Frame
from straced.views.terminal import STYLES
from straced.views.tui import keys, words


class Around:
    """The widgets around the list, and what they say."""

    def __init__(self) -> None:
        self._lines = {
            name: Static(id=name, classes="words", markup=False)
            for name in ("head", "machine", "totals", "quality", "hints")
        }
        self._banners = Static(id="banners", markup=False)

    @property
    def above(self) -> list[Static]:
        """From top to bottom."""
        return [self._lines["head"], self._lines["machine"], self._lines["totals"], self._banners]

    @property
    def below(self) -> list[Static]:
        return [self._lines["quality"], self._lines["hints"]]

    def show(self, frame: Frame | None, state: words.State, width: int) -> None:
        """Say what a frame and the screen's own state have to say."""
        self._lines["hints"].update(Text(keys.hints(width), style="dim"))
        if frame is None:
            self._put("head", "straced top · waiting for the first figures", "bold")
            return
        self._put("head", words.head_line(frame, state), "bold")
        self._put("machine", words.machine_line(frame), "")
        self._put("totals", words.totals_line(frame), "")
        self._put("quality", words.quality_line(frame, state), "bold")
        spans = words.banners(frame, state)
        self._banners.display = bool(spans)
        self._banners.update(Text("\n").join(Text(span.text, STYLES[span.style]) for span in spans))

    def _put(self, name: str, text: str, style: str) -> None:
        self._lines[name].update(Text(text, style=style, no_wrap=True, overflow="ellipsis"))
