"""A fixed cadence: each tick is due at its own time, whatever the one before took. Missed ones are only counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Cadence:
    """When the next tick is due.

    Args:
        interval_ns: between ticks.
        clock_ns: a monotonic clock.
    """

    def __init__(self, interval_ns: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.interval_ns = interval_ns
        self._clock_ns = clock_ns
        self._due_ns = clock_ns()
        self.late = 0
        """Ticks that were missed, since the tick before took longer than the interval, or the machine was away."""
        self.jitter_ns = 0
        """By how much the last tick came after its time."""

    def restart(self, interval_ns: int) -> None:
        """Go on with another interval, from now."""
        self.interval_ns = interval_ns
        self._due_ns = self._clock_ns() + interval_ns

    def wait_ns(self) -> int:
        """Until the next tick; 0 when it is due."""
        return max(0, self._due_ns - self._clock_ns())

    def take(self) -> bool:
        """A tick begins: set when the next one is due; returns whether this one is late by more than an interval."""
        behind = self._clock_ns() - self._due_ns
        self.jitter_ns = max(0, behind)
        missed = max(0, behind) // self.interval_ns
        self.late += missed
        self._due_ns += (missed + 1) * self.interval_ns
        return missed > 0

    async def wait(self, woken: asyncio.Event, ahead_ns: int = 0) -> bool:
        """Sleep until so long before the next tick, or until ``woken``; returns whether that moment has come."""
        delay = (self.wait_ns() - ahead_ns) / 1e9
        if delay > 0:
            try:
                async with asyncio.timeout(delay):
                    await woken.wait()
            except TimeoutError:
                return True
            return False
        return not woken.is_set()
