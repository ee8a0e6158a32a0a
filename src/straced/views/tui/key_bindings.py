"""The keys of the screen, in one table: what they do and the help page are made of it."""

from __future__ import annotations

from typing import NamedTuple

from straced.views.tui import palette
from straced.views.tui.segments import Piece, Pieces


class Key(NamedTuple):
    """A key, what it does in the app, how it is written in the help, and what it is for."""

    keys: str
    action: str
    shown: str
    meaning: str


KEYS = (
    Key("enter", "open", "Enter", "open the selected process, or close it"),
    Key("escape", "leave", "Esc", "go back; clear the filter"),
    Key("tab", "other_table", "Tab", "switch between the list and the panel"),
    Key("1", "tab(0)", "1 2 3 4", "panel: calls, threads, files and sockets, events"),
    Key("2", "tab(1)", "", ""),
    Key("3", "tab(2)", "", ""),
    Key("4", "tab(3)", "", ""),
    Key("left", "turn(-1)", "", ""),
    Key("right", "turn(1)", "Left Right", "previous or next panel"),
    Key("slash", "filter", "/", "filter by name, command line, pid, job or call"),
    Key("s", "sort(1)", "s S", "sort by the next or previous column"),
    Key("S", "sort(-1)", "", ""),
    Key("w", "mode", "w", "show on-CPU, waiting or wall time"),
    Key("l", "flat", "l", "tree or flat list"),
    Key("y", "why", "y", "why is it waiting?"),
    Key("t", "trace", "t", "start a full trace (asks first), or stop it"),
    Key("x", "signal", "x", "send a signal: confirm with y, or type its name and Enter"),
    Key("left_square_bracket", "travel(-1)", "", ""),
    Key("right_square_bracket", "travel(1)", "[ ]", "with --history: one minute back or forward"),
    Key("p", "pause", "p", "pause or resume"),
    Key("h,question_mark", "help", "h ?", "this page"),
    Key("q", "quit", "q", "quit"),
    Key("ctrl+q", "quit", "", ""),
    Key("ctrl+c", "hint", "", ""),
)
HELP = (
    ("Up Down j k", "move the selection; also PgUp PgDn Home End g G"),
    *((each.shown, each.meaning) for each in KEYS if each.shown),
)
HINTS = (
    ("q", "quit"), ("h", "help"), ("Enter", "open"), ("/", "filter"), ("s", "sort"), ("w", "times"), ("y", "why"),
    ("t", "trace"), ("x", "signal"), ("p", "pause"), ("Tab", "panel"), ("1-4", "tabs"), ("l", "flat"),
)  # fmt: skip
MEANINGS = (
    "",
    "CPU% and overhead are percent of one CPU; work% is on-CPU time in",
    "system calls, wait% off-CPU time in them, in percent of one thread.",
    "thread time: ▇ in user mode, ▅ on-CPU in calls, ▂ waiting in calls.",
    '"-" means unknown, not zero; ">" means at least.',
)


ACTIONS = {key: each.action for each in KEYS for key in each.keys.split(",")}
"""By key, as Textual names it."""


def hints(width: int) -> Pieces:
    """The last line of the screen: as many of the keys as fit."""
    pieces: list[Piece] = []
    used = 0
    for shown, word in HINTS:
        size = len(shown) + len(word) + 1
        if used + size > width:
            break
        pieces += (Piece(shown, palette.KEY), Piece(f" {word}  ", palette.DIM))
        used += size + 2
    return tuple(pieces)
