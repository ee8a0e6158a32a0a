"""Lines of text as pieces, each with what is meant by it; :mod:`straced.views.text.terminal` colours them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a line, and how it is meant: ``""``, ``strong``, ``weak``, ``bad`` or ``title``."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def plain(lines: Iterable[Line]) -> str:
    """Text without colour, each line ended by a newline, no blanks at the end of one."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)
