"""The box that asks which signal, and whether at all."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.containers import VerticalScroll

from straced.model.frame import ProcessRow
from straced.views.tui import palette
from straced.views.tui.dialogs import RiskBox

SIGNALS = (
    (signal.SIGTERM, "ask to terminate"),
    (signal.SIGINT, "interrupt, like Ctrl-C"),
    (signal.SIGHUP, "hang-up; daemons re-read their configuration"),
    (signal.SIGSTOP, "stop until SIGCONT"),
    (signal.SIGCONT, "resume"),
    (signal.SIGUSR1, "application-defined"),
    (signal.SIGUSR2, "application-defined"),
    (signal.SIGQUIT, "terminate with a core dump"),
    (signal.SIGKILL, "kill immediately; the process cannot clean up"),
)
NAMES = {name.removeprefix("SIG"): name for name in signal.Signals.__members__}
LONGEST = 12
"""Characters of a name that is typed."""
MOVES = {"up": -1, "down": 1}


class SignalBox(RiskBox):
    """Decided by ``y``, or by the name of a signal and Enter. Enter alone decides nothing, nor does a paste."""

    def __init__(self, row: ProcessRow) -> None:
        self.chosen = 0
        self.typed = ""
        self._warned = False
        super().__init__(row, "signal")

    @property
    def named(self) -> signal.Signals | None:
        """The signal whose whole name has been typed."""
        name = NAMES.get(self.typed.upper().removeprefix("SIG"))
        return signal.Signals[name] if name else None

    def question(self) -> Sequence[str]:
        return (f"Send a signal to {self.row.pid} ({self.row.comm})?",)

    def choices(self) -> Sequence[str]:
        lines, marked = [], self.named if self.typed else SIGNALS[self.chosen][0]
        for number, meaning in SIGNALS:
            mark = ">" if number == marked else " "
            lines.append(f"{mark} {number.name:<8} {number.value:>2}  {meaning}")
        return [*lines, "", self._typed_line()]

    def keys(self) -> str:
        if self.typed:
            return f"Enter sends {self.named.name} to {self.row.pid}" if self.named else "Esc sends nothing"
        return f"y sends {SIGNALS[self.chosen][0].name} to {self.row.pid}, Esc nothing"

    def styled(self, number: int, line: str) -> Text:
        text = super().styled(number, line)
        if line.startswith(">"):
            text.stylize(palette.cursor(focused=True))
        return text

    def answer(self, event: events.Key) -> None:
        if self.gone:
            return
        decided = self.named if self.typed else SIGNALS[self.chosen][0] if event.key == "y" else None
        if decided is not None and event.key in ("y", "enter"):
            self.dismiss(int(decided))
            return
        self._warned = event.key == "enter"
        if event.key in MOVES:
            self.typed, self.chosen = "", (self.chosen + MOVES[event.key]) % len(SIGNALS)
            self.query_one(VerticalScroll).scroll_to(y=self.chosen, animate=False)
        elif event.key == "backspace":
            self.typed = self.typed[:-1]
        elif event.is_printable and event.character is not None and len(self.typed) < LONGEST:
            self.typed += event.character
        self.draw()

    def _typed_line(self) -> str:
        if self.typed:
            note = "" if self.named else "  (no signal has this name)" if self._warned else "  ..."
            return f"Signal: {self.typed}{note}"
        if self._warned:
            return "Enter alone sends nothing: press y, or type a signal name and Enter."
        return "Up and Down to choose, or type a signal name and Enter."
