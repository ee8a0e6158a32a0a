"""Durations in buckets, and percentiles out of them with a stated error bound.

Each octave (power of two of nanoseconds) is split into ``STEPS`` equal parts, as an HDR histogram does. A percentile is
reported as the middle of its bucket, so it is off by at most ``ERROR_PCT`` percent.
"""

from __future__ import annotations

from collections.abc import Sequence

STEPS_LOG2 = 2
STEPS = 1 << STEPS_LOG2
OCTAVES = 40
"""Buckets reach 2**40 ns, 18 minutes; what lasts longer stands in the last one."""
SIZE = OCTAVES * STEPS
ERROR_PCT = 100 / (2 * STEPS)
"""A bucket is 1/STEPS of its lower bound wide; its middle is at most half of that away."""


def bucket(duration_ns: int) -> int:
    """The bucket of a duration: below ``STEPS`` ns one bucket a nanosecond, above it ``STEPS`` an octave."""
    if duration_ns < STEPS:
        return max(duration_ns, 0)
    octave = duration_ns.bit_length() - 1
    index = (octave << STEPS_LOG2) + ((duration_ns >> (octave - STEPS_LOG2)) & (STEPS - 1))
    return min(index, SIZE - 1)


def bounds(index: int) -> tuple[int, int]:
    """Lower (included) and upper (excluded) bound of a bucket, in nanoseconds."""
    if index < STEPS:
        return index, index + 1
    octave = index >> STEPS_LOG2
    width = 1 << (octave - STEPS_LOG2)
    lower = (1 << octave) + (index & (STEPS - 1)) * width
    return lower, lower + width


def percentile_ns(counts: Sequence[int], share: float) -> int | None:
    """The duration below which ``share`` (0 to 1) of the calls stayed; ``None`` for an empty histogram."""
    total = sum(counts)
    if total == 0:
        return None
    wanted = max(1, -(-int(total * share * 1_000_000) // 1_000_000))
    seen = 0
    for index, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            lower, upper = bounds(index)
            return (lower + upper - 1) // 2 if upper - lower > 1 else lower
    return None
