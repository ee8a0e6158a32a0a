"""Boxes over the screen: help, why, a full trace. Each answers with what was decided."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from rich.markup import escape
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Static

from straced.model.frame import ProcessRow
from straced.views.tui import palette, status_lines
from straced.views.tui.key_bindings import HELP, MEANINGS
from straced.views.tui.reaction import Reaction

CLOSING = ("escape", "ctrl+c")
"""These close any box, at any time."""
CLOSES = "Esc closes"


class Painted(Message):
    """To the app: a box is painted, and what shows it is on its way to the terminal when this is heard."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.box = box


class BoxText(Static):
    """The text of a box, which knows since when it is painted."""

    def __init__(self, text: Text) -> None:
        super().__init__(text, id="words", markup=False)
        self.painted_at: float | None = None
        """On the clock by which Textual tells when a key came."""

    def render_line(self, y: int) -> Strip:
        if self.painted_at is None:
            self.painted_at = time.monotonic()
            if isinstance(self.screen, Box):
                self.app.post_message(Painted(self.screen))
        return super().render_line(y)


class Box(ModalScreen[int | None]):
    """A titled text; any closing key ends it.

    A key that came before the box was painted is no answer to it: only Esc and Ctrl-C count.
    """

    DEFAULT_CSS = """
    Box { align: center middle; background: transparent; }
    Box > Vertical { width: 78; max-width: 100%; height: auto; max-height: 100%; border: round ansi_cyan;
        padding: 0 1; background: ansi_default; border-title-style: bold; }
    Box.wide > Vertical { width: 90%; max-width: 130; min-width: 78; }
    Box VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    Box Static { width: 100%; }
    """
    SCROLLS: ClassVar[dict[str, int]] = {
        "j": 1, "down": 1, "k": -1, "up": -1, "pagedown": 10, "pageup": -10, "home": -100_000, "g": -100_000,
        "end": 100_000, "G": 100_000,
    }  # fmt: skip

    def __init__(self, title: str, lines: Sequence[str] = (), *, wide: bool = False, foot: str = CLOSES) -> None:
        super().__init__(classes="wide" if wide else "")
        self.title_text = title
        self.lines = list(lines)
        self.foot = foot
        self._words = BoxText(self.text())

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = escape(self.title_text)
            box.border_subtitle = escape(self.foot)
            with VerticalScroll():
                yield self._words

    def text(self) -> Text:
        """The lines, and how they are meant."""
        return Text("\n").join(self.styled(number, line) for number, line in enumerate(self.lines))

    def styled(self, number: int, line: str) -> Text:
        """One line: the first one is what matters most."""
        return Text(line, palette.STRONG if number == 0 else palette.NOTHING)

    def show(self, lines: Sequence[str], foot: str = CLOSES) -> None:
        """Replace the text, and the words on the border below it."""
        self.lines, self.foot = list(lines), foot
        self._words.update(self.text())
        for box in self.query("Box > Vertical").results(Vertical):  # none while the box is being opened
            box.border_subtitle = escape(foot)

    def on_mount(self) -> None:
        self.show(self.lines, self.foot)

    def press(self, event: events.Key) -> None:
        """Take a key."""
        if event.key in CLOSING:
            self.dismiss(None)
        elif self.counts(event.time):
            self.answer(event)

    def counts(self, at: float) -> bool:
        """Whether a key that came at some time may be meant for the box."""
        return self._words.painted_at is not None and at > self._words.painted_at

    def answer(self, event: events.Key) -> None:
        """Take a key that counts."""
        if event.key in self.SCROLLS:
            self.query_one(VerticalScroll).scroll_relative(y=self.SCROLLS[event.key], animate=False)
        elif event.key in ("enter", "q", "h", "question_mark", "y"):
            self.dismiss(None)


class HelpBox(Box):
    """All keys."""

    def __init__(self) -> None:
        self._width = max(len(keys) for keys, _ in HELP) + 2
        lines = [*(f"{keys:<{self._width}}{meaning}" for keys, meaning in HELP), *MEANINGS]
        super().__init__("straced top", lines)

    def styled(self, number: int, line: str) -> Text:
        text = Text(line)
        if number < len(HELP):
            text.stylize(palette.KEY, 0, self._width)
        return text


class WhyBox(Box):
    """Why a process waits: the verdict, the chain, and what shows it."""

    def __init__(self, row: ProcessRow) -> None:
        super().__init__(f"why {row.pid}", (f"Watching {row.pid} ({row.comm}) for a moment...",), wide=True)

    @staticmethod
    def room(width: int) -> int:
        """Cells of a line on a screen of some width: less the border, the padding and the bar beside a long text."""
        return min(width, max(78, min(130, width * 9 // 10))) - 5

    def styled(self, number: int, line: str) -> Text:
        end = self.lines.index("") if "" in self.lines else 1
        text = Text(line, palette.STRONG if number < end else palette.NOTHING)
        text.highlight_regex(r"<- root cause$", palette.BAD)
        text.highlight_regex(r"^(who|evidence|storm|threads|python|not seen|next)(?=  )", palette.KEY)
        text.highlight_regex(r"^[ │├└]+", palette.DIM)
        return text


class RiskBox(Box):
    """Asks before something is done to a process, and knows it by pid and start time.

    A key decides only if it was typed in sight of the question: from then on the box says which key does what.
    It stays open when its process goes, since the keys that were meant for it would else go to the list.
    """

    def __init__(self, row: ProcessRow, title: str) -> None:
        self.row = row
        self.gone = False
        self._reaction = Reaction()
        self._listens = False
        super().__init__(f"{title} {row.pid} ({row.comm})")
        self.draw()

    def seen(self, at: float) -> None:
        """The question is on the screen of the terminal."""
        self._reaction.seen(at)
        self._listen()

    def counts(self, at: float) -> bool:
        counts = self._reaction.counts(at)
        if not counts:
            self._listens = False
            self.draw()
            self._listen()
        return counts

    def _listen(self) -> None:
        """Say which key decides, as soon as one does."""
        left_s = self._reaction.left_s(time.monotonic())
        if left_s == 0.0:
            self._listens = True
            self.draw()
        elif left_s is not None and self.is_running:
            self.set_timer(left_s, self._listen)

    def follow(self, now: ProcessRow | None) -> None:
        """Show the process as it is in a new frame; ``None``: it is in none any more."""
        self.row, self.gone = now or self.row, now is None
        self.draw()

    def draw(self) -> None:
        """Say what would be done to whom, and how to decide it."""
        if self.gone:
            self.show((f"{self.row.pid} ({self.row.comm}) has exited; nothing was done.",))
        else:
            self.show(
                (*self.question(), *status_lines.whose(self.row, status_lines.boottime_s()), "", *self.choices()),
                self.keys() if self._listens else f"{CLOSES}; other keys count in a moment",
            )

    def question(self) -> Sequence[str]:
        """What would be done, and to whom."""
        raise NotImplementedError

    def choices(self) -> Sequence[str]:
        """What there is to know or to choose from."""
        raise NotImplementedError

    def keys(self) -> str:
        """Which key decides."""
        raise NotImplementedError


class TraceBox(RiskBox):
    """Asks before a full trace begins: it slows its target down a lot."""

    def __init__(self, row: ProcessRow, folder: str, limits: str) -> None:
        self._folder, self._limits = folder, limits
        super().__init__(row, "full trace of")

    def question(self) -> Sequence[str]:
        return (f"Trace every call of {self.row.pid} ({self.row.comm}), its threads and children, with strace?",)

    def choices(self) -> Sequence[str]:
        return (
            "This slows it down a lot: each call takes tens to hundreds of microseconds longer.",
            f"Writes a new file in {self._folder}; stops after {self._limits}, or when you press t.",
        )

    def keys(self) -> str:
        return "Enter to start, Esc to cancel"

    def answer(self, event: events.Key) -> None:
        if event.key == "enter" and not self.gone:
            self.dismiss(1)
        elif event.key != "enter":
            super().answer(event)
