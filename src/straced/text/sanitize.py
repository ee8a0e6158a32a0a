"""Foreign text sanitized once, at the door: names, command lines and paths come from other people's processes.

What is removed can move the cursor, colour the screen, forge a line or turn text around: C0 and C1 control
characters, DEL, line and paragraph separators, bidirectional overrides, and lone surrogates.

The time is linear in the limit, whatever the length of the text: what lies beyond is not even looked at.
"""

from __future__ import annotations

CUT = "…"
"""Ends a text that was cut."""
_UNSAFE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    0x200E,
    0x200F,
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xFFF9, 0xFFFC),
)
_SURROGATES = range(0xD800, 0xE000)


class _Escapes(dict[int, str]):
    """The escape of each unsafe character, and the others of ASCII; those of surrogates are made when one is seen."""

    def __missing__(self, code: int) -> str:
        if code not in _SURROGATES:
            raise LookupError(code)  # str.translate leaves the character as it is
        return f"\\u{code:04x}"


_ESCAPES = _Escapes({code: chr(code) for code in range(0x20, 0x7F)})  # found, and so not asked of __missing__ each time
_ESCAPES.update({code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSAFE})


def scrub(text: str, limit: int = 4096) -> str:
    """Replace each unsafe character by its escape, ``\\x1b`` for ESC; the result is cut at ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit + 1]
    if not cut.isprintable():  # none that is unsafe is printable, and asking is faster than translating
        cut = cut.translate(_ESCAPES)
    return cut if len(cut) <= limit else cut[: limit - 1] + CUT


def scrub_bytes(data: bytes, limit: int = 4096) -> str:
    """Decode as UTF-8, invalid bytes as ``\\xNN``, and scrub."""
    return scrub(data[: 4 * (limit + 1)].decode("utf-8", "backslashreplace"), limit)
