"""Boxes over the screen: help, why, a signal, a full trace. Each answers with what was decided."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from straced.live.values import ProcessRow
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
    Box { align: center middle; }
    Box > Vertical { width: 78; max-width: 100%; height: auto; max-height: 100%; border: round ansi_default;
        padding: 0 1; background: ansi_default; }
    Box VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
    Box Static { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h,question_mark,y", "leave", show=False),
        Binding("enter", "accept", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str] = ()) -> None:
        super().__init__()
        self.title_text = title
        self.lines = list(lines)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = self.title_text
            with VerticalScroll():
                yield Static(Text("\n".join(self.lines)), id="words", markup=False)

    def show(self, lines: Sequence[str]) -> None:
        """Replace the text."""
        self.lines = list(lines)
        for words in self.query("#words").results(Static):  # none while the box is being opened
            words.update(Text("\n".join(self.lines)))

    def on_mount(self) -> None:
        self.show(self.lines)

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        self.dismiss(None)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def help_box() -> Box:
    """All keys."""
    width = max(len(keys) for keys, _ in HELP)
    return Box("straced top", [*(f"{keys:<{width}}  {meaning}" for keys, meaning in HELP), *MEANINGS])


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

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(SIGNALS)
        self.show(self._lines())

    def action_accept(self) -> None:
        self.dismiss(int(SIGNALS[self.chosen][0]))
