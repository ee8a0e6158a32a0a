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
    Key("1", "tab(0)", "1 2 3 4 5 6", "panel: calls, threads, files, events, slow calls, by file"),
    Key("2", "tab(1)", "", ""),
    Key("3", "tab(2)", "", ""),
    Key("4", "tab(3)", "", ""),
    Key("5", "tab(4)", "", ""),
    Key("6", "tab(5)", "", ""),
    Key("left", "turn(-1)", "", ""),
    Key("right", "turn(1)", "Left Right", "previous or next panel"),
    Key("slash", "filter", "/", "filter: any text, or call:NAME user:NAME job:NAME"),
    Key("s", "sort(1)", "s S", "sort by the next or previous column"),
    Key("S", "sort(-1)", "", ""),
    Key("w", "mode", "w", "show on-CPU, waiting or wall time"),
    Key("l", "flat", "l", "tree or flat list"),
    Key("y", "why", "y", "why is it waiting?"),
    Key("t", "trace", "t", "start a full trace (asks first), or stop it"),
    Key("x", "signal", "x", "send a signal: confirm with y, or type its name and Enter"),
    Key("left_square_bracket", "travel(-1)", "", ""),
    Key("right_square_bracket", "travel(1)", "[ ]", "with --history: one minute back or forward"),
    Key("colon", "go_to", ":", "with --history: go to a time, 08:12 or -2h"),
    Key("p", "pause", "p", "pause or resume"),
    Key("h,question_mark", "help", "h ?", "this page"),
    Key("q,ctrl+c", "quit", "q Ctrl-C", "quit; Ctrl-Z suspends, fg resumes"),
    Key("ctrl+q", "quit", "", ""),
    Key("ctrl+z", "suspend", "", ""),
)
HELP = (
    ("Up Down j k", "move the selection; also PgUp PgDn Home End g G"),
    *((each.shown, each.meaning) for each in KEYS if each.shown),
)
_QUIT, _HELP, _BACK = ("q", "quit", "quit"), ("h", "help", "help"), ("Esc", "back", "leave")
_ABOUT = (("y", "why", "why"), ("t", "trace", "trace"), ("x", "signal", "signal"))
_MINUTES = (("[", "earlier", "travel(-1)"), ("]", "later", "travel(1)"), (":", "go to a time", "go_to"))
HINTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "list": (
        _QUIT, _HELP, ("Enter", "open", "open"), ("/", "filter", "filter"), ("s", "sort", "sort(1)"), *_ABOUT,
        ("p", "pause", "pause"), ("w", "times", "mode"), ("Tab", "panel", "other_table"), ("l", "flat", "flat"),
    ),
    "history": (
        _QUIT, _HELP, *_MINUTES, ("Enter", "open", "open"), ("/", "filter", "filter"), ("s", "sort", "sort(1)"),
        ("w", "times", "mode"), ("l", "flat", "flat"),
    ),
    "panel": (_QUIT, _HELP, _BACK, ("1-6", "tabs", "turn(1)"), *_ABOUT, ("w", "times", "mode"),
              ("p", "pause", "pause")),
    "filter": (("Enter", "keep", "keep_filter"), ("Esc", "clear", "clear_filter"),
               ("call: user: job:", "one column", "")),
    "time": (("Enter", "go there", "keep_filter"), ("Esc", "stay", "clear_filter")),
    "filtered": (_QUIT, _HELP, ("Esc", "clear the filter", "leave"), ("/", "change it", "filter"),
                 ("Enter", "open", "open"), *_ABOUT, ("s", "sort", "sort(1)"), ("p", "pause", "pause")),
    "ended": (_QUIT, _HELP, ("g", "to the top", "top"), ("/", "filter", "filter"), ("s", "sort", "sort(1)")),
    "box": (("Esc", "close", ""), ("Up Down", "move", "")),
    "paused": (_QUIT, _HELP, ("p", "resume", "pause"), ("Enter", "open", "open"), ("/", "filter", "filter"), *_ABOUT),
}  # fmt: skip
"""The last line by what the next key goes to: keys, what they do, and what a click on them does."""
MEANINGS = (
    "",
    "CPU% and overhead are percent of one CPU; work% is on-CPU time in",
    "system calls, wait% off-CPU time in them, in percent of one thread.",
    "thread time: ▇ in user mode, ▅ on-CPU in calls, ▂ waiting in calls.",
    '"-" means unknown, not zero; ">" means at least.',
)


ACTIONS = {key: each.action for each in KEYS for key in each.keys.split(",")}
"""By key, as Textual names it."""


def hints(width: int, place: str = "list") -> Pieces:
    """The last line of the screen: as many of the keys of a place as fit."""
    pieces: list[Piece] = []
    used = 0
    for shown, word, action in HINTS[place]:
        size = len(shown) + len(word) + 1
        if used + size > width:
            break
        pieces += (Piece(shown, palette.KEY, action), Piece(f" {word}", palette.DIM, action), Piece("  "))
        used += size + 2
    return tuple(pieces)
