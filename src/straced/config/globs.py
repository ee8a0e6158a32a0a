"""Globs that users write, matched in bounded time: as fnmatch(3) has them, but without a regular expression.

A pattern is cut at its stars into pieces of a fixed length. The leftmost place at which a piece fits is as good as any
other, so that nothing is tried twice: the time is at most the length of the text times that of the pattern.
"""

from __future__ import annotations

from typing import NamedTuple

from straced.errors import InvalidArgument

MAX_CHARS = 256
"""No name of a program is longer (NAME_MAX)."""
MAX_CLASSES = 32
"""Of ``?`` and ``[...]`` together: those are compared one by one."""


class _Class(NamedTuple):
    """One character out of some."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def takes(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


_ANY = _Class((), negated=True)
_Piece = str | tuple[str | _Class, ...]


class Glob:
    """A pattern that has been read.

    Raises:
        InvalidArgument: it is too long, or has too many wildcards.
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_CHARS:
            raise InvalidArgument(f"a pattern has at most {MAX_CHARS} characters", hint="a name has no more")
        pieces = _pieces(pattern)
        if sum(isinstance(each, _Class) for piece in pieces for each in piece) > MAX_CLASSES:
            raise InvalidArgument(f"a pattern has at most {MAX_CLASSES} of ? and [...]", hint="use *")
        self._pieces = [_plain(piece) for piece in pieces]

    def matches(self, text: str) -> bool:
        """Whether the whole of a text is meant."""
        first, *rest = self._pieces
        if not rest:
            return len(text) == len(first) and _fits(first, text, 0)
        last = rest.pop()
        end = len(text) - len(last)
        at = len(first)
        if end < at or not _fits(first, text, 0) or not _fits(last, text, end):
            return False
        for piece in rest:
            found = _find(piece, text, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


def _pieces(pattern: str) -> list[list[str | _Class]]:
    pieces: list[list[str | _Class]] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
        elif character == "?":
            pieces[-1].append(_ANY)
        elif character == "[" and (end := _end_of_class(pattern, at)) >= 0:
            pieces[-1].append(_class(pattern[at:end]))
            at = end + 1
        else:
            pieces[-1].append(character)
    return pieces


def _end_of_class(pattern: str, start: int) -> int:
    """Where a class ends that begins at ``start``: a ``]`` that stands first is one of its characters."""
    first = start + 1 if pattern[start : start + 1] == "!" else start
    return pattern.find("]", first + 1)


def _class(text: str) -> _Class:
    negated = text.startswith("!")
    text = text[negated:]
    ranges = []
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            ranges.append((text[at], text[at + 2]))
            at += 3
        else:
            ranges.append((text[at], text[at]))
            at += 1
    return _Class(tuple(ranges), negated)


def _plain(piece: list[str | _Class]) -> _Piece:
    return "".join(map(str, piece)) if all(isinstance(each, str) for each in piece) else tuple(piece)


def _fits(piece: _Piece, text: str, at: int) -> bool:
    if isinstance(piece, str):
        return text.startswith(piece, at)
    return all(
        part.takes(text[at + i]) if isinstance(part, _Class) else part == text[at + i] for i, part in enumerate(piece)
    )


def _find(piece: _Piece, text: str, start: int, end: int) -> int:
    if isinstance(piece, str):
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)
