"""Lines in pieces, each with its meaning, for :mod:`straced.views.text.terminal` to colour."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a line, and how it is meant: ``""``, ``strong``, ``weak``, ``error``, ``bad`` or ``title``."""

    text: str
    style: str = ""


Line = tuple[Span, ...]
DEEPER = 4
"""Blanks by which a line goes on below its begin."""
_BREAK = re.compile(r"(?<=·) |(?<!\d) | (?!(?:%|x|[num]?s|min|h|d|[kMGT]?B)\b|%)")
"""Where a line may be broken: at a blank, but for the one between a number and its unit."""
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


def fitted(lines: Iterable[Line], width: int | None) -> list[Line]:
    """Lines that all fit: a longer one goes on below, where it has a dot between two facts, or else between words.

    A word that alone is longer, as a path, stays whole.

    Args:
        lines: a table does not pass the width: :mod:`straced.views.text.columns` sees to that.
        width: columns there are; ``None``: they stay as they are.
    """
    return [part for line in lines for part in _flowed(line, width)]


def _flowed(line: Line, width: int | None) -> Iterator[Line]:
    text = "".join(span.text for span in line).rstrip()
    if width is None or len(text) <= width:
        yield line
        return
    start, indent = 0, 0
    deeper = len(text) - len(text.lstrip()) + DEEPER
    while start < len(text):
        end = _end(text, start, start + width - indent)
        yield (*((Span(" " * indent),) if indent else ()), *_slice(line, start, end))
        start, indent = end + 1, min(deeper, max(width - LEAST, 0))


def _end(text: str, start: int, limit: int) -> int:
    """Where the line ends that begins at ``start``: a blank follows, or the end of the text."""
    if len(text) <= limit:
        return len(text)
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    found = [each.start() for each in _BREAK.finditer(text, begin) if each.start() > begin]
    fit = [at for at in found if at <= limit]
    dots = [at for at in fit if text[at - 1] == "·" and at - start > (limit - start) // 2]
    return (dots or fit or [found[0] if found else len(text)])[-1]


def _slice(line: Line, start: int, end: int) -> Iterator[Span]:
    at = 0
    for span in line:
        piece = span.text[max(0, start - at) : max(0, end - at)]
        at += len(span.text)
        if piece:
            yield Span(piece, span.style)
