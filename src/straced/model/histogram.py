"""Durations in buckets, and percentiles out of them with a stated error bound.

Each octave (power of two of nanoseconds) is split into ``STEPS`` equal parts, as an HDR histogram does. A percentile is
reported as the middle of its bucket, so it is off by at most ``ERROR_PCT`` percent, for durations of 64 ns to 18
minutes. The kernel programs count into the same buckets (``bpf/wire.h``).
"""

from __future__ import annotations

from collections.abc import Sequence

STEPS_LOG2 = 2
STEPS = 1 << STEPS_LOG2
FIRST_OCTAVE = 6
"""No call is measured to last less than 64 ns; what does stands in the first bucket."""
OCTAVES = 34
"""Buckets reach 2**40 ns, 18 minutes; what lasts longer stands in the last one."""
SIZE = OCTAVES * STEPS
ERROR_PCT = 100 / (2 * STEPS)
"""A bucket is 1/STEPS of its octave's lower bound wide; its middle is at most half of that away."""


def bucket(duration_ns: int) -> int:
    """The bucket of a duration: ``STEPS`` an octave."""
    if duration_ns < 1 << FIRST_OCTAVE:
        return 0
    octave = duration_ns.bit_length() - 1
    index = ((octave - FIRST_OCTAVE) << STEPS_LOG2) + ((duration_ns >> (octave - STEPS_LOG2)) & (STEPS - 1))
    return min(index, SIZE - 1)


def bounds(index: int) -> tuple[int, int]:
    """Lower (included) and upper (excluded) bound of a bucket, in nanoseconds."""
    octave = (index >> STEPS_LOG2) + FIRST_OCTAVE
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
            return (lower + upper) // 2
    return None
