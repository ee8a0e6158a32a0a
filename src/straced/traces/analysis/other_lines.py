"""What lines tell that have another form than most: clocks as printed."""

from __future__ import annotations

import re

from straced.traces.parsing.line import TraceLine

_CLOCK = re.compile(rb"(?:\[pid +[^\]]*\] |\d+(?:<[^>]*>)? +)? *([\d:.]+) ")


def clock_of(line: bytes, value: TraceLine) -> bytes:
    """Return the clock of a line as printed; empty when it has none."""
    if value.clock is None:
        return b""
    match = _CLOCK.match(line)
    return match.group(1) if match else b""
