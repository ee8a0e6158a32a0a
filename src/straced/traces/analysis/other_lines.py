"""What lines tell that have another form than most: the tasks that strace attached to, and clocks as printed."""

from __future__ import annotations

import re

from straced.traces.parsing.line import OWN_WORDS, TraceLine

_ATTACHED = re.compile(OWN_WORDS + rb"Process (\d+) attached")
_CLOCK = re.compile(rb"(?:\[pid +[^\]]*\] |\d+(?:<[^>]*>)? +)? *([\d:.]+) ")


def attached(block: bytes) -> list[bytes]:
    """Return the TIDs, as printed, of the tasks that strace reports as attached."""
    return _ATTACHED.findall(block)


def clock_of(line: bytes, value: TraceLine) -> bytes:
    """Return the clock of a line as printed; empty when it has none."""
    if value.clock is None:
        return b""
    match = _CLOCK.match(line)
    return match.group(1) if match else b""
