"""Boxes over the screen: help, why, a signal, a full trace. Each answers with what was decided."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import ClassVar

from rich.markup import escape
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from straced.live.values import ProcessRow
from straced.views.tui import palette
from straced.views.tui.keys import HELP, MEANINGS

SIGNALS = (
    (signal.SIGTERM, "asks it to end"),
    (signal.SIGINT, "as Ctrl-C does"),
    (signal.SIGHUP, "its terminal is gone; daemons read their configuration"),
    (signal.SIGSTOP, "stops it until SIGCONT"),
    (signal.SIGCONT, "goes on"),
    (signal.SIGUSR1, "whatever it makes of it"),
    (signal.SIGUSR2, "whatever it makes of it"),
    (signal.SIGQUIT, "ends it with a core dump"),
    (signal.SIGKILL, "ends it at once; it can save nothing"),
)


class Box(ModalScreen[int | None]):
    """A titled text; any closing key ends it."""

    DEFAULT_CSS = """
    Box { align: center middle; background: transparent; }
    Box > Vertical { width: 78; max-width: 100%; height: auto; max-height: 100%; border: round ansi_cyan;
        padding: 0 1; background: ansi_default; border-title-style: bold; }
    Box.wide > Vertical { width: 90%; max-width: 130; min-width: 78; }
    Box VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    Box Static { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h,question_mark,y", "leave", show=False),
        Binding("enter", "accept", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str] = (), *, wide: bool = False) -> None:
        super().__init__(classes="wide" if wide else "")
        self.title_text = title
        self.lines = list(lines)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = escape(self.title_text)
            with VerticalScroll():
                yield Static(self.text(), id="words", markup=False)

    def text(self) -> Text:
        """The lines, and how they are meant."""
        return Text("\n").join(self.styled(number, line) for number, line in enumerate(self.lines))

    def styled(self, number: int, line: str) -> Text:
        """One line: the first one is what matters most."""
        return Text(line, palette.STRONG if number == 0 else palette.NOTHING)

    def show(self, lines: Sequence[str]) -> None:
        """Replace the text."""
        self.lines = list(lines)
        for words in self.query("#words").results(Static):  # none while the box is being opened
            words.update(self.text())

    def on_mount(self) -> None:
        self.show(self.lines)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


class HelpBox(Box):
    """All keys."""

    def __init__(self) -> None:
        self._width = max(len(keys) for keys, _ in HELP) + 2
        super().__init__("straced top", [*(f"{keys:<{self._width}}{meaning}" for keys, meaning in HELP), *MEANINGS])

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


class TraceBox(Box):
    """Asks before a full trace begins: it slows its target down a lot."""

    def __init__(self, row: ProcessRow, folder: str, limits: str) -> None:
        super().__init__(
            f"full trace of {row.pid}",
            (
                f"Trace every call of {row.pid} ({row.comm}), its threads and children, with strace?",
                "It is slowed down a lot while it lasts: a call costs tens to hundreds of microseconds more.",
                f"Into a new file in {folder}; ends by itself after {limits}, or with t.",
                "",
                "Enter starts it, Esc does not.",
            ),
        )

    def action_accept(self) -> None:
        self.dismiss(1)


class SignalBox(Box):
    """Asks which signal, and whether at all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", show=False),
        Binding("down,j", "choose(1)", show=False),
    ]

    def __init__(self, row: ProcessRow) -> None:
        self.row = row
        self.chosen = 0
        super().__init__(f"signal {row.pid}", self._lines())

    def _lines(self) -> list[str]:
        lines = [f"Send a signal to {self.row.pid} ({self.row.comm})?", ""]
        for index, (number, meaning) in enumerate(SIGNALS):
            mark = ">" if index == self.chosen else " "
            lines.append(f"{mark} {number.name:<8} {number.value:>2}  {meaning}")
        return [*lines, "", f"Enter sends {SIGNALS[self.chosen][0].name}, Esc sends nothing."]

    def styled(self, number: int, line: str) -> Text:
        text = super().styled(number, line)
        if line.startswith(">"):
            text.stylize(palette.cursor(focused=True))
        return text

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(SIGNALS)
        self.show(self._lines())

    def action_accept(self) -> None:
        self.dismiss(int(SIGNALS[self.chosen][0]))
