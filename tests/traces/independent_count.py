"""Counts the calls and errors of a trace in another way: a regular expression a line, and nothing of the reader.

A call is a line that has, behind its pid and clock, a name and a bracket. An error is a line of a call, or of its
second half, that ends in ``= -1 ERRNO (words)``. What is interrupted counts each time that it is entered.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

_PID = r"(?:\[pid +\d{1,7}(?:<[^>]*>)?\] |\d{1,7}(?:<[^>]*>)? +)?"
_CLOCK = r"(?: *[\d:.]+ )?(?:\(\+ *[\d:.]+\) )?"
_BRACKETS = r"(?:\[[^\]\"({]*\] )*"
_LEAD = "^" + _PID + _CLOCK + _BRACKETS
_BEGIN = re.compile(_LEAD + r"([A-Za-z_]\w*|\?\?\?)\(", re.A)
_AGAIN = re.compile(_LEAD + r"<\.\.\. (\w+|\?\?\?) resumed>", re.A)
_FAILED = re.compile(r"= -1 (E[A-Z0-9]+) \([^<>\"=]*\)(?: \([A-Z][^<>\"=]*\))?(?: <[\d.]+>)?$")
_RETURNS_FROM_SIGNAL = ("rt_sigreturn", "sigreturn")
"""What they print is the result of the call that the signal interrupted."""
_COLOR = re.compile(r"\x1b\[[\d;]*m")


class Counted(NamedTuple):
    """By name, and by name and errno."""

    calls: Counter[str]
    errors: Counter[tuple[str, str]]


def count(path: Path) -> Counted:
    """Count the lines of a trace."""
    calls: Counter[str] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for text in path.read_bytes().decode("latin-1").split("\n"):
        line = _COLOR.sub("", text)
        begin = _BEGIN.match(line)
        match = begin or _AGAIN.match(line)
        if begin:
            calls[begin[1]] += 1
        if match and match[1] not in _RETURNS_FROM_SIGNAL and (failed := _FAILED.search(line)):
            errors[match[1], failed[1]] += 1
    return Counted(calls, errors)
