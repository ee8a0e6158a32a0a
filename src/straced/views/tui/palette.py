"""Colours by meaning: the terminal's own sixteen, so that its theme decides how they look.

Nothing is said by colour alone: with NO_COLOR, what remains is bold, dim and reverse.
"""

from __future__ import annotations

from rich.style import Style

from straced.syscalls.classes import category

NOTHING = Style.null()
DIM = Style(dim=True)
STRONG = Style(bold=True)
LABEL = Style(color="cyan")
KEY = Style(color="cyan", bold=True)
GOOD = Style(color="green")
WARN = Style(color="yellow")
BAD = Style(color="red", bold=True)
TITLE = Style(color="cyan", bold=True)
SORTED = Style(color="cyan", bold=True, reverse=True)
TAB = Style(color="cyan", bold=True, reverse=True)
MATCH = Style(color="yellow", bold=True, underline=True)
RATE = Style(color="cyan")
IN_PROGRAM, WORKING, WAITING = Style(color="green"), Style(color="yellow"), Style(color="bright_blue")
BANNERS = {
    "bad": Style(color="red", bold=True, reverse=True),
    "title": Style(color="yellow", bold=True, reverse=True),
    "weak": Style(color="yellow"),
}
"""By the style names of :class:`straced.views.text.summary.Span`."""
QUALITY = {"exact": GOOD, "partial": WARN, "sampled": WARN, "lossy": BAD}
_CLASSES = {
    "file": Style(color="cyan"),
    "network": Style(color="magenta"),
    "memory": Style(color="yellow"),
    "process": Style(color="green"),
    "wait": WAITING,
}
_STATES = {"R": GOOD, "D": BAD, "T": WARN, "t": WARN, "Z": BAD}
_KINDS = {
    "started": GOOD, "ended": DIM, "exec": LABEL, "alert_opened": BAD, "alert": BAD, "lost": BAD, "refused": BAD,
    "alert_closed": GOOD, "signal": WARN, "trace": WARN,
}  # fmt: skip


def cursor(*, focused: bool) -> Style:
    """The chosen line, legible whatever the terminal's theme; where another table has the keys it stays in sight."""
    if not focused:
        return STRONG
    return Style(color="default", bgcolor="default", reverse=True, dim=False)


def of_call(name: str) -> Style:
    """By the class of a call: file, network, memory, process, wait."""
    return GOOD if name == "running" else _CLASSES.get(category(name), NOTHING)


def of_state(letter: str) -> Style:
    """By the letter of proc(5)."""
    return _STATES.get(letter, DIM)


def of_note(kind: str) -> Style:
    """By what happened."""
    return _KINDS.get(kind, NOTHING)


def of_share(value: float | None, *, warn: float = 50.0, bad: float = 90.0) -> Style:
    """The more, the warmer; nothing is dim."""
    if not value:
        return DIM
    return BAD if value >= bad else WARN if value >= warn else GOOD


def of_duration(duration_ns: int | None) -> Style:
    """From fast and cool to slow and warm, at 10 us, 1 ms and 100 ms."""
    if duration_ns is None:
        return DIM
    for limit_ns, style in ((10_000, GOOD), (1_000_000, LABEL), (100_000_000, WARN)):
        if duration_ns < limit_ns:
            return style
    return Style(color="magenta")
