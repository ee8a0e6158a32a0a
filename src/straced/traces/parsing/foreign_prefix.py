"""What other tools put in front of every line of a log: the journal, docker, kubectl, ``ts``."""

from __future__ import annotations

import re
from collections.abc import Callable

_STAMP = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_MONTH = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
_UNIT = rb"[\w.-]{1,255} [^\s:\[]{1,100}(?:\[\d+\])?: "
PREFIXES = {
    "journal": rb"(?:" + _MONTH + rb"|" + _STAMP + rb") " + _UNIT,
    "container": rb"(?:" + _STAMP + rb" (?:std(?:out|err) [FP] )?|[\w.-]{1,100} +\| (?:" + _STAMP + rb" )?)",
    "ts": rb"(?:" + _MONTH + rb" |\d\d:\d\d:\d\d(?:\.\d+)? |\d{9,10}(?:\.\d+)? )",
    "bracket": rb"\[(?!pid )[^\]\n]{1,200}\] ",
}
"""The kind of a prefix, and what it looks like."""


def stripper(kind: str) -> Callable[[bytes], bytes]:
    """What takes the prefix off the lines of a block that begins with a newline; a block without one stays."""
    pattern = re.compile(rb"(\n)" + PREFIXES[kind])
    return lambda block: pattern.sub(rb"\1", block)
