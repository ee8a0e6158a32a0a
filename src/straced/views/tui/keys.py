"""The keys of the screen, in one table: bindings and the help page are made of it."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding


class KeyHelp(NamedTuple):
    """A key, what it does in the app, how it is written, and what it is for."""

    keys: str
    action: str
    shown: str
    meaning: str


KEYS = (
    KeyHelp("enter", "open", "Enter", "the chosen process on the whole screen, and back"),
    KeyHelp("escape", "leave", "Esc", "back; clears the filter"),
    KeyHelp("tab", "other_table", "Tab", "keys go to the list, or to the panel below"),
    KeyHelp("1", "tab(0)", "1", "panel: system calls, with the histogram of the chosen one"),
    KeyHelp("2", "tab(1)", "2", "panel: threads, the call each is in and for how long"),
    KeyHelp("3", "tab(2)", "3", "panel: files and sockets"),
    KeyHelp("4", "tab(3)", "4", "panel: events and alerts"),
    KeyHelp("left", "turn(-1)", "Left", "the panel before"),
    KeyHelp("right", "turn(1)", "Right", "the next panel"),
    KeyHelp("slash", "filter", "/", "filter by name, command line, pid, job or call"),
    KeyHelp("s", "sort(1)", "s", "sort by the next column"),
    KeyHelp("S", "sort(-1)", "S", "sort by the column before"),
    KeyHelp("w", "mode", "w", "working, waiting or wall time"),
    KeyHelp("l", "flat", "l", "tree or flat list"),
    KeyHelp("y", "why", "y", "why does it wait?"),
    KeyHelp("t", "trace", "t", "start a full trace (asks first), or stop it"),
    KeyHelp("x", "signal", "x", "send a signal (asks first)"),
    KeyHelp("p", "pause", "p", "pause, go on"),
    KeyHelp("h,question_mark", "help", "h ?", "this page"),
    KeyHelp("q", "quit", "q", "quit"),
)
MOVES = (
    ("Up Down j k", "one line up or down"),
    ("PgUp PgDn Home End g G", "further"),
)


def bindings() -> list[Binding]:
    """The table as Textual wants it."""
    return [Binding(each.keys, each.action, each.meaning, show=False, priority=each.keys == "tab") for each in KEYS]


def hints(width: int) -> str:
    """The last line of the screen: as many of the keys as fit."""
    text = ""
    for shown, word in (
        ("q", "quit"), ("h", "help"), ("Enter", "open"), ("/", "filter"), ("s", "sort"), ("w", "times"), ("y", "why"),
        ("t", "trace"), ("x", "signal"), ("p", "pause"), ("Tab", "panel"), ("1-4", "tabs"), ("l", "flat"),
    ):  # fmt: skip
        more = f"{text}  {shown} {word}" if text else f"{shown} {word}"
        if len(more) > width:
            break
        text = more
    return text
