"""Pictures made of characters: the histogram of a call."""

from __future__ import annotations

from collections.abc import Sequence

from straced import histogram
from straced.units import format_ns
from straced.views.tui.cells import fit

_BARS = " ▁▂▃▄▅▆▇█"


def octaves(buckets: Sequence[int]) -> list[tuple[int, int]]:
    """Calls by power of two: the lower bound in nanoseconds and the count, from the first that has any to the last."""
    sums: dict[int, int] = {}
    for index, count in enumerate(buckets):
        if count > 0:
            lower = histogram.bounds(index)[0]
            octave = max(lower, 1).bit_length() - 1
            sums[octave] = sums.get(octave, 0) + count
    if not sums:
        return []
    return [(1 << octave, sums.get(octave, 0)) for octave in range(min(sums), max(sums) + 1)]


def histogram_lines(buckets: Sequence[int], width: int) -> tuple[str, str]:
    """A line of bars, one octave a bar of three cells, and a line of their lower bounds below it.

    A bar is as high as the share of its octave in the largest one; what is above zero is never blank.
    """
    found = octaves(buckets)
    if not found:
        return "", ""
    cell = 3 if len(found) * 3 + 10 <= width else 1
    highest = max(count for _, count in found)
    bars = "".join(_bar(count, highest) * cell for _, count in found)
    first, last = format_ns(found[0][0]), format_ns(found[-1][0] * 2)
    room = max(len(bars), len(first) + len(last) + 1)
    return fit(bars, width), fit(first + last.rjust(room - len(first)), width)


def _bar(count: int, highest: int) -> str:
    return _BARS[max(1, round(8 * count / highest))] if count else _BARS[0]
