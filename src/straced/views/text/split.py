"""What each process or thread of a target did: a line each, and its busiest calls."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.split import SplitPart
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.spans import Line, Span

BUSIEST = 3
NAME_MOST = 32
COLUMNS = (
    FittedColumn("calls"),
    FittedColumn("errors"),
    FittedColumn("total"),
    FittedColumn("waiting", goes=2),
    FittedColumn("max", goes=1),
    FittedColumn("busiest calls", left=True, goes=3, least=20),
)


def split_lines(
    parts: Sequence[SplitPart], by: str, *, limit: int | None = None, width: int | None = None
) -> list[Line]:
    """A table of the parts, those that made most calls first.

    Args:
        parts: sorted.
        by: ``process`` or ``thread``; the title.
        limit: lines to show; ``None`` for all.
        width: columns there are: the busiest calls are cut to them.
    """
    shown = parts if limit is None else parts[:limit]
    laid = grid((FittedColumn(by, left=True, least=20), *COLUMNS), [_cells(part) for part in shown], width)
    lines: list[Line] = [(Span(laid.titles, "title"),)]
    most = max((part.wall_ns or 0 for part in shown), default=0)
    for part, cells in zip(shown, laid.rows, strict=True):
        styles = (
            "",
            "",
            "error" if part.errors else "weak",
            "strong" if part.wall_ns and part.wall_ns == most else "",
            "" if part.waiting_ns else "weak",
            "" if part.max_ns else "weak",
            "weak",
        )
        lines.append(tuple(Span(cell, styles[at]) for cell, at in zip(cells, laid.kept, strict=True)))
    if len(parts) > len(shown):
        lines.append((Span(f" ({format_count(len(parts) - len(shown))} more: --all)", "weak"),))
    return lines


def _cells(part: SplitPart) -> tuple[str, ...]:
    busiest = ", ".join(f"{scrub(name, 20)} {format_count(count)}" for name, count in part.busiest[:BUSIEST])
    times = map(format_ns, (part.wall_ns, part.waiting_ns, part.max_ns))
    return scrub(part.name, NAME_MOST), format_count(part.calls), format_count(part.errors), *times, busiest
