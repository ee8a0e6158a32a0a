"""A line in pieces, each with its meaning. Nothing of Textual in here."""

from __future__ import annotations

from typing import NamedTuple

from rich.style import Style

from straced.views.tui import palette


class Piece(NamedTuple):
    """Some text of a line, and how it is meant."""

    text: str
    style: Style = palette.NOTHING


Pieces = tuple[Piece, ...]


def whole(text: str, style: Style = palette.NOTHING) -> Pieces:
    """A line of one piece."""
    return (Piece(text, style),)
