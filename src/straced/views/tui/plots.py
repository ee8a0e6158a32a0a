"""Pictures made of characters: meters, and the durations of calls as bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from straced.model import histogram
from straced.text.units import format_ns
from straced.views.tui import palette
from straced.views.tui.cells import BARS, fit
from straced.views.tui.segments import Piece, Pieces

_EIGHTHS = len(BARS) - 1


def meter(label: str, value: float | None, words: str, width: int, style: Style) -> Pieces:
    """``CPU ━━━━━────────── 34 % of 8``: a share from 0 to 1 as a bar between its label and its figure."""
    room = width - len(label) - len(words) - 2
    if room < 4 or value is None:
        return Piece(label, palette.LABEL), Piece(fit(f" {words}", width - len(label)))
    full = min(room, max(0, round(room * value)))
    bar = (Piece("━" * full, style), Piece("─" * (room - full), palette.DIM))
    return Piece(f"{label} ", palette.LABEL), *bar, Piece(f" {words}", palette.STRONG)


def octaves(buckets: Sequence[int]) -> dict[int, int]:
    """Calls by power of two of nanoseconds; those that have none are not in it."""
    sums: dict[int, int] = {}
    for index, count in enumerate(buckets):
        if count > 0:
            octave = max(histogram.bounds(index)[0], 1).bit_length() - 1
            sums[octave] = sums.get(octave, 0) + count
    return sums


def strip(found: dict[int, int], first: int, last: int) -> Pieces:
    """The octaves from ``first`` to ``last``, one a cell; the colour tells how slow, the height how often."""
    highest = max(found.values(), default=0)
    return tuple(
        Piece(_bar(found.get(octave, 0), highest), palette.of_duration(1 << octave))
        for octave in range(first, last + 1)
    )


def chart(buckets: Sequence[int], width: int, height: int) -> list[Pieces]:
    """Bars of ``height`` lines, an octave a bar, and a line with the lower bounds of the bars below them.

    What is above zero is never blank. Empty for an empty histogram.
    """
    found = octaves(buckets)
    if not found:
        return []
    first, last = min(found), max(found)
    cell = min(6, max(1, width // (last - first + 2)))
    highest = max(found.values())
    lines: list[Pieces] = []
    for level in range(height - 1, -1, -1):
        line = []
        for octave in range(first, last + 1):
            count = found.get(octave, 0)
            eighths = max(1, round(_EIGHTHS * height * count / highest)) if count else 0
            mark = BARS[min(_EIGHTHS, max(0, eighths - level * _EIGHTHS))]
            line.append(Piece(mark * max(1, cell - 1) + " " * (cell > 1), palette.of_duration(1 << octave)))
        lines.append(tuple(line))
    return [*lines, (Piece(_scale(first, last, cell), palette.DIM),)]


def _scale(first: int, last: int, cell: int) -> str:
    """The lower bounds of as many bars as have room for them, at even distances."""
    labels = [format_ns(1 << octave).replace(" ", "") for octave in range(first, last + 2)]
    step = -(-(max(map(len, labels)) + 1) // cell)
    return "".join(label.ljust(step * cell) for label in labels[::step]).rstrip()


def _bar(count: int, highest: int) -> str:
    return BARS[max(1, round(_EIGHTHS * count / highest))] if count else BARS[0]
