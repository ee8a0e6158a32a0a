"""Lines in pieces, each with its meaning, for :mod:`straced.views.text.terminal` to colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a line, and how it is meant: ``""``, ``strong``, ``weak``, ``error``, ``bad`` or ``title``."""

    text: str
    style: str = ""


Line = tuple[Span, ...]
LEAST, NAME_MOST = 20, 24
"""Cells in which wrapping is worth while; and of a name at the begin of a text that is left alone in its column."""


def plain(lines: Iterable[Line]) -> str:
    """Text without colour, each line ended by a newline, no blanks at the end of one."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)


def wrapped(line: Line, width: int | None) -> list[Line]:
    """A line whose last piece goes on below itself where the screen ends, between words.

    Args:
        line: only its last piece is wrapped, and blanks at the begin of that are kept.
        width: columns there are; ``None``: it stays one line.
    """
    size = sum(len(span.text) for span in line)
    if width is None or size <= width or not line:
        return [line]
    *before, last = line
    text = last.text.lstrip(" ")
    start = size - len(text)
    column = start + _second_column(text)
    if width - column < LEAST:
        column = min(start, 4)
    parts = textwrap.wrap(
        text, width, initial_indent="x" * start, subsequent_indent=" " * column, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip
    first = Span(last.text[: len(last.text) - len(text)] + parts[0][start:], last.style)
    return [(*before, first), *((Span(part, last.style),) for part in parts[1:])]


def _second_column(text: str) -> int:
    """Where what follows a name and two blanks begins; 0 where there is no such name."""
    name, gap, rest = text.partition("  ")
    return len(text) - len(rest.lstrip(" ")) if gap and rest.strip() and len(name) <= NAME_MOST else 0
