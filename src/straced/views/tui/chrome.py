"""The words above and below the list."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from straced.model.frame import Frame
from straced.views.tui import header, key_bindings, palette, status_lines
from straced.views.tui.click_line import ClickLine
from straced.views.tui.segments import Pieces, whole


class ScreenChrome:
    """The widgets around the list, and what they say; remembers the totals of the last frames."""

    def __init__(self) -> None:
        self._past = header.RateTrail()
        self._lines = {
            name: ClickLine(id=name, classes="words")
            for name in ("head", "calls", "errors", "machine", "quality", "hints")
        }
        self._banners = Static(id="banners", markup=False)

    @property
    def above(self) -> list[Widget]:
        """From top to bottom."""
        return [*(self._lines[name] for name in ("head", "calls", "errors", "machine")), self._banners]

    @property
    def below(self) -> list[Widget]:
        return [self._lines["quality"], self._lines["hints"]]

    def show(self, frame: Frame | None, state: status_lines.State, width: int) -> None:
        """Say what a frame and the screen's own state have to say."""
        self._put("hints", key_bindings.hints(width, state.place))
        if frame is None:
            self._put("head", whole("straced top · waiting for the first figures", palette.TITLE))
            return
        self._past.add(frame)
        self._put("head", header.head(frame, state, width))
        self._put("calls", header.calls(frame, self._past, width))
        self._put("errors", header.errors(frame, self._past, width))
        self._put("machine", header.machine(frame, width))
        self._put("quality", header.quality(frame, state, width))
        spans = status_lines.banners(frame, state)
        self._banners.display = bool(spans)
        self._banners.update(Text("\n").join(Text(span.text, palette.BANNERS[span.style]) for span in spans))

    def _put(self, name: str, pieces: Pieces) -> None:
        self._lines[name].put(pieces)
