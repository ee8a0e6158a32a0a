"""Summaries of targets that ended while attached, kept until somebody asks, but not for ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from straced.manager_summary import TraceSummary
from straced.model import Target

KEPT = 1000
KEPT_S = 3600.0


class Finished:
    """At most ``KEPT`` summaries, each for an hour, keyed by pid *and* start time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[int, int], tuple[float, Target, TraceSummary]] = OrderedDict()

    def keep(self, target: Target, summary: TraceSummary) -> None:
        """Remember a summary; the oldest makes room."""
        self._kept[target.pid, target.start_ticks] = self._clock(), target, summary
        self._expire()

    def take(self, pid: int) -> TraceSummary | None:
        """The newest summary of a pid, once."""
        self._expire()
        for key in reversed(self._kept):
            if key[0] == pid:
                return self._kept.pop(key)[2]
        return None

    def take_superseded(self) -> list[tuple[Target, TraceSummary]]:
        """All that are kept, oldest first, once."""
        self._expire()
        taken = [(target, summary) for _when, target, summary in self._kept.values()]
        self._kept.clear()
        return taken

    def _expire(self) -> None:
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        now = self._clock()
        while self._kept and now - next(iter(self._kept.values()))[0] > KEPT_S:
            self._kept.popitem(last=False)
