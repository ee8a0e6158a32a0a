"""A table that fits where it is shown: columns that matter less go first, then names lose a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from straced.text.sanitize import CUT
from straced.views.text.spans import Line, Span

UNKNOWN = ("-", "")


class FittedColumn(NamedTuple):
    """A column of a table, and what becomes of it where there is little room."""

    title: str
    left: bool = False
    """Aligned to the left, as names and words are."""
    goes: int = 0
    """A narrow screen does without it, the lowest first, as does any screen if nothing in it is known; 0: it stays."""
    least: int = 0
    """What is longer than this may be cut; 0: it is a figure, and is not."""
    keeps: str = "begin"
    """What stays of a text that is cut: its ``begin``, its ``end``, or ``both``."""


class FittedTable(NamedTuple):
    """A table in cells of equal width."""

    kept: tuple[int, ...]
    """The columns that are shown, by their place."""
    titles: str
    rows: tuple[tuple[str, ...], ...]
    """The cells of each row, with the gaps before them."""

    def lines(self, styles: Sequence[str] = ()) -> list[Line]:
        """Titles and rows as lines.

        Args:
            styles: one for each row; plain where there are none.
        """
        told = [*styles, *[""] * (len(self.rows) - len(styles))]
        rows = [(Span("".join(row).rstrip(), style),) for row, style in zip(self.rows, told, strict=True)]
        return [(Span(self.titles, "title"),), *rows]


def grid(
    columns: Sequence[FittedColumn],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    gap: str = "  ",
    lead: str = " ",
) -> FittedTable:
    """Lay a table out.

    Args:
        columns: what there is.
        rows: the text of each cell, one for each column.
        width: columns of the terminal; ``None``: nothing is left out or cut.
        gap: between two columns.
        lead: before the first.
    """
    kept = list(range(len(columns)))
    if width is not None and rows:
        kept = [at for at in kept if not columns[at].goes or any(row[at] not in UNKNOWN for row in rows)]
    wanted = [max([len(each.title), *(len(row[at]) for row in rows)]) for at, each in enumerate(columns)]
    least = [
        min(wanted[at], max(each.least, len(each.title))) if each.least else wanted[at]
        for at, each in enumerate(columns)
    ]
    frame = len(lead) - len(gap)
    while width is not None and frame + sum(least[at] + len(gap) for at in kept) > width:
        going = [at for at in kept if columns[at].goes]
        if not going:
            break
        kept.remove(min(going, key=lambda at: columns[at].goes))
    widths = {at: wanted[at] for at in kept}
    over = 0 if width is None else frame + sum(widths[at] + len(gap) for at in kept) - width
    for _ in range(over):
        longest = max(kept, key=lambda at: widths[at] - least[at])
        if widths[longest] <= least[longest]:
            break
        widths[longest] -= 1

    def told(cells: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            (lead if place == 0 else gap)
            + _aligned(columns[at], cut(cells[at], widths[at], columns[at].keeps), widths[at])
            for place, at in enumerate(kept)
        )

    titles = "".join(told([each.title for each in columns])).rstrip()
    return FittedTable(kept=tuple(kept), titles=titles, rows=tuple(told(row) for row in rows))


def _aligned(column: FittedColumn, text: str, width: int) -> str:
    return f"{text:<{width}}" if column.left else f"{text:>{width}}"


def cut(text: str, room: int, keeps: str = "begin") -> str:
    """A text of at most so many characters, of which its ``begin``, its ``end`` or ``both`` are left."""
    if len(text) <= room:
        return text
    if keeps == "end":
        return CUT + text[len(text) + 1 - room :] if room > 1 else CUT
    first = room // 3 if keeps == "both" else room - 1
    return f"{text[:first]}{CUT}{text[len(text) - (room - first - 1) :]}"
