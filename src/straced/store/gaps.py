"""Time in which no service ran, from the times of its samples (ms).

A day has 86,400 of them, so nothing is done in Python to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import sub

from straced.store.rollup import MINUTE_MS

FACTOR = 3
"""A step of so many usual ones is a gap."""
LEAST_MS = 1000


def gaps_s(times: Sequence[int]) -> float:
    """All gaps together; 0 where too few samples are known to tell.

    Args:
        times: of all samples, in order. Of those beyond ``store.full`` only the first of each minute is there.
    """
    if len(times) < 3:
        return 0.0
    steps = list(map(sub, times[1:], times))
    ordered = sorted(steps)
    usual = ordered[len(ordered) // 2]
    longest = FACTOR * max(usual, LEAST_MS)
    if ordered[-1] <= longest:
        return 0.0
    places = (place for place, step in enumerate(steps) if step > longest)
    without_ms: int = sum(steps[place] - usual for place in places if not _kept_by_the_minute(times, place))
    return without_ms / 1000


def _kept_by_the_minute(times: Sequence[int], place: int) -> bool:
    """Whether a row is the only one of its minute, and the next one is of the minute after it."""
    minute = times[place] // MINUTE_MS
    first = place == 0 or times[place - 1] // MINUTE_MS < minute
    return first and times[place + 1] // MINUTE_MS == minute + 1
