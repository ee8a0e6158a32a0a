"""Lines for a stream: on a terminal none wider than it is, and no sign that it cannot show. Nothing heavy in here."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import IO

from straced.views.text.spans import Line, Span, fitted, plain

USUAL = 80
"""Columns of a terminal that does not say how many it has."""
PLAIN = str.maketrans({
    "·": "-", "…": "~", "×": "x", "≥": ">=", "└": "`", "├": "|", "│": "|", "─": "-", "–": "-", "→": ">",
})  # fmt: skip
"""What stands for our own signs where only ASCII can be shown, of the same width as far as possible."""


def width_of(stream: IO[str]) -> int | None:
    """The columns of a terminal; ``None`` for a pipe or a file, where nothing needs to be left out."""
    if not stream.isatty():
        return None
    with contextlib.suppress(OSError, ValueError):
        told = os.environ.get("COLUMNS", "")
        return int(told) if told.isdecimal() and int(told) else os.get_terminal_size(stream.fileno()).columns or USUAL
    return USUAL


def shows_signs(stream: IO[str]) -> bool:
    """Whether more than ASCII can be shown: the encoding has it, and a terminal was not said to be in the C locale.

    Python writes UTF-8 in the C locale, too (PEP 540), which is right for a pipe, and a guess for a terminal.
    """
    try:
        "".join(map(chr, PLAIN)).encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return os.environ.get("LC_ALL") not in ("C", "POSIX") or not stream.isatty()


def ready(lines: Iterable[Line], stream: IO[str]) -> list[Line]:
    """Lines as a stream can show them."""
    found = fitted(lines, width_of(stream))
    if shows_signs(stream):
        return found
    return [tuple(Span(span.text.translate(PLAIN), span.style) for span in line) for line in found]


def say(*words: str) -> None:
    """Write words on stderr, each on a line of its own."""
    sys.stderr.write(plain(ready([(Span(each),) for each in words], sys.stderr)))
    sys.stderr.flush()
