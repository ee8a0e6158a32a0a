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
        self._superseded: set[tuple[int, int]] = set()

    def keep(self, target: Target, summary: TraceSummary) -> None:
        """Remember a summary; the oldest makes room."""
        self.supersede(target.pid)
        key = target.pid, target.start_ticks
        while key in self._kept:  # attached to twice: both are the caller's
            key = key[0], key[1] - 1
        self._kept[key] = self._clock(), target, summary
        self._expire()

    def supersede(self, pid: int) -> None:
        """The pid is attached to anew: what is kept of it can only be had by :meth:`take_superseded`."""
        self._superseded.update(key for key in self._kept if key[0] == pid)

    def take(self, pid: int) -> TraceSummary | None:
        """The newest summary of a pid, once; those that were superseded are not meant."""
        self._expire()
        for key in reversed(self._kept):
            if key[0] == pid and key not in self._superseded:
                return self._kept.pop(key)[2]
        return None

    def take_superseded(self) -> list[tuple[Target, TraceSummary]]:
        """Those whose pid was attached to again, oldest first, once."""
        self._expire()
        taken = [self._kept.pop(key) for key in list(self._kept) if key in self._superseded]
        self._superseded.clear()
        return [(target, summary) for _when, target, summary in taken]

    def _expire(self) -> None:
        now = self._clock()
        while self._kept and (len(self._kept) > KEPT or now - next(iter(self._kept.values()))[0] > KEPT_S):
            key, _ = self._kept.popitem(last=False)
            self._superseded.discard(key)
