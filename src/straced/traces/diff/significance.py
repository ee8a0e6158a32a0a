"""How sure a change is, when each side has several runs: an exact permutation test on the difference of means.

It assumes nothing about how figures are spread. With n runs a side the smallest possible p is 2 / C(2n, n): 0.1 for
three, 0.03 for four.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice
from math import comb

MOST_SPLITS = 20_000


def p_value(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The share of ways to deal the runs out that differ at least as much; ``None`` with one run a side."""
    if len(before) < 2 or len(after) < 2:
        return None
    pool = [*before, *after]
    size, total = len(before), sum(pool)
    seen = abs(sum(before) / size - sum(after) / len(after))
    if comb(len(pool), size) > MOST_SPLITS:
        return None
    hits = splits = 0
    for chosen in islice(combinations(pool, size), MOST_SPLITS):
        part = sum(chosen)
        splits += 1
        hits += abs(part / size - (total - part) / len(after)) >= seen - 1e-9 * max(1.0, seen)
    return hits / splits


def apart(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether every run of one side lies above every run of the other."""
    return min(after) > max(before) or max(after) < min(before)
