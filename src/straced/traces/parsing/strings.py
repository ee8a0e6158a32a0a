"""Strings as strace prints them: octal, hexadecimal (-x, -xx) and C escapes."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.S)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a", b"b": b"\b", b"e": b"\x1b"}


def unescape(text: bytes) -> bytes:
    """Return the bytes that a printed string or path stands for."""
    return _ESCAPE.sub(_byte, text) if b"\\" in text else text


def _byte(match: re.Match[bytes]) -> bytes:
    if match.group(1):
        return bytes((int(match.group(1), 16),))
    if match.group(2):
        return bytes((int(match.group(2), 8) & 0xFF,))
    return _LETTERS.get(match.group(3), match.group(3))
