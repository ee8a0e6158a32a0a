"""Strings of other programs as strace quotes them: C escapes, so that no control character comes through."""

from __future__ import annotations

_NAMED = {ord('"'): '\\"', ord("\\"): "\\\\", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
_PLAIN = frozenset(range(32, 127)) - _NAMED.keys()
_IN_ANGLES = _PLAIN - frozenset(b"<>")


def quoted(data: bytes, cut: bool = False) -> str:
    """Quote a string; three dots behind it say that it was cut."""
    dots = "..." if cut else ""
    if data.isascii():
        text = data.decode("ascii")
        if text.isprintable() and '"' not in text and "\\" not in text:
            return f'"{text}"{dots}'
    return f'"{_escaped(data, _PLAIN)}"{dots}'


def in_angles(data: bytes) -> str:
    """Escape a path that is to stand in angle brackets behind a descriptor."""
    return _escaped(data, _IN_ANGLES)


def _escaped(data: bytes, plain: frozenset[int]) -> str:
    parts = []
    for place, byte in enumerate(data):
        if byte in plain:
            parts.append(chr(byte))
        elif byte in _NAMED:
            parts.append(_NAMED[byte])
        elif data[place + 1 : place + 2].isdigit():  # which would read as a part of a shorter number
            parts.append(f"\\{byte:03o}")
        else:
            parts.append(f"\\{byte:o}")
    return "".join(parts)
