"""Summaries of targets that ended while attached, kept until somebody asks, but not for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from straced.manager.trace_summary import TraceSummary
from straced.model.types import Target

KEPT = 1000
KEPT_S = 3600.0


class FinishedSummary(Struct):
    """One summary that waits."""

    at_s: float
    target: Target
    summary: TraceSummary
    superseded: bool = False
    """Its pid was attached to again since."""


class Finished:
    """At most ``KEPT`` summaries, each for an hour."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[FinishedSummary] = deque()

    def keep(self, target: Target, summary: TraceSummary) -> None:
        """Remember a summary; the oldest makes room."""
        self.supersede(target.pid)
        self._kept.append(FinishedSummary(self._clock(), target, summary))
        self._expire()

    def supersede(self, pid: int) -> None:
        """The pid is attached to anew: what is kept of it can only be had by :meth:`take_superseded`."""
        for entry in self._kept:
            entry.superseded |= entry.target.pid == pid

    def take(self, pid: int) -> TraceSummary | None:
        """The summary of the last attach to a pid, once."""
        self._expire()
        for entry in self._kept:
            if entry.target.pid == pid and not entry.superseded:
                self._kept.remove(entry)
                return entry.summary
        return None

    def take_superseded(self) -> list[tuple[Target, TraceSummary]]:
        """Those whose pid was attached to again, oldest first, once."""
        self._expire()
        taken = [entry for entry in self._kept if entry.superseded]
        self._kept = deque(entry for entry in self._kept if not entry.superseded)
        return [(entry.target, entry.summary) for entry in taken]

    def _expire(self) -> None:
        now = self._clock()
        while self._kept and (len(self._kept) > KEPT or now - self._kept[0].at_s > KEPT_S):
            self._kept.popleft()
