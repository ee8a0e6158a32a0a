"""Whether a line lies between ``--since`` and ``--until``, across midnights."""

from __future__ import annotations

import re

from straced.traces.parsing.line_format import Form
from straced.traces.parsing.selection import TraceSelection, bound, clock_seconds

DAY_S = 86400


def limits_of(selection: TraceSelection, first: float | None, form: Form) -> tuple[float | None, float | None]:
    """``--since`` and ``--until`` in seconds of a clock that runs on over midnight.

    A time of day before the trace began (half a day before, for ``--since``) is that of its next day.
    """
    since = bound(selection.since, first, "--since")
    until = bound(selection.until, first, "--until")
    if form.clock != "day" or first is None:
        return since, until
    if since is not None and first - since > DAY_S / 2:
        since += DAY_S
    if until is not None and until < first:
        until += DAY_S
    return since, until


class TimeLimits:
    """Asked about the clock of every line, in order.

    Args:
        selection: what was chosen.
        block: the first lines of the trace.
        form: their form.
    """

    def __init__(self, selection: TraceSelection, block: bytes, form: Form) -> None:
        match = re.compile(rb"\n" + form.prefix()).search(block)
        self._day, self._relative = form.clock == "day", form.clock == "relative"
        first = clock_seconds(match.group(2)) if match and form.clock and not self._relative else None
        self._since, self._until = limits_of(selection, first, form)
        self._now = 0.0 if self._relative else first

    def holds(self, clock: bytes) -> bool:
        """Whether a line with this clock is inside; one without a clock is not."""
        seconds = clock_seconds(clock)
        if seconds is None:
            return self._since is None and self._until is None
        if self._relative:
            seconds += self._now or 0.0
            self._now = seconds
        elif self._day and self._now is not None:
            seconds += DAY_S * ((self._now - seconds + DAY_S / 2) // DAY_S)
            self._now = seconds
        return (self._since is None or seconds >= self._since) and (self._until is None or seconds <= self._until)
