"""Foreign text made safe once, at the door: names, command lines and paths come from other people's processes.

What is removed can move the cursor, colour the screen, forge a line or turn text around: C0 and C1 control
characters, DEL, line and paragraph separators, bidirectional overrides, and lone surrogates.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")


def scrub(text: str, limit: int = 4096) -> str:
    """Replace each unsafe character by its escape, ``\\x1b`` for ESC; cut at ``limit`` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSAFE.sub(_escape, cut)


def scrub_bytes(data: bytes, limit: int = 4096) -> str:
    """Decode as UTF-8, invalid bytes as ``\\xNN``, and scrub."""
    return scrub(data.decode("utf-8", "backslashreplace"), limit)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
