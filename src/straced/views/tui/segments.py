"""A line in pieces, each with its meaning. Nothing of Textual in here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

from straced.views.tui import palette


class Piece(NamedTuple):
    """Some text of a line, how it is meant, and what a click on it does."""

    text: str
    style: Style = palette.NOTHING
    action: str = ""
    """As in :mod:`straced.views.tui.key_bindings`; empty: a click does nothing of its own."""


Pieces = tuple[Piece, ...]


def whole(text: str, style: Style = palette.NOTHING) -> Pieces:
    """A line of one piece."""
    return (Piece(text, style),)


def action_at(line: Sequence[Piece], x: int) -> str:
    """What a click into the cell ``x`` of a line does; empty: nothing."""
    reached = 0
    for piece in line:
        reached += cell_len(piece.text)
        if x < reached:
            return piece.action if x >= 0 else ""
    return ""
