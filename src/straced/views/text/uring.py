"""Requests of io_uring as text."""

from __future__ import annotations

from straced.model.uring import UringTable, UringUse
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.spans import Line, Span

COLUMNS = (
    FittedColumn("requests"),
    FittedColumn("errors"),
    FittedColumn("in flight", goes=5),
    FittedColumn("more", goes=1),
    FittedColumn("silent", goes=2),
    FittedColumn("total"),
    FittedColumn("p99", goes=3),
    FittedColumn("max", goes=4),
    FittedColumn("operation", left=True, least=20),
)
FEW = ("more", "silent")
"""Columns that are left out where they hold nothing."""


def uring_lines(table: UringTable, limit: int | None = 20, width: int | None = None) -> list[Line]:
    """The lines of a table, most time first.

    Args:
        table: what to show.
        limit: rows to show; ``None`` for all.
        width: columns there are.
    """
    rows = table.rows or ()
    shown = rows if limit is None else rows[:limit]
    lines: list[Line] = []
    if shown:
        told = [(*_cells(row), _name(row)) for row in shown]
        kept = [at for at, each in enumerate(COLUMNS) if each.title not in FEW or any(row[at] != "0" for row in told)]
        lines += grid([COLUMNS[at] for at in kept], [[row[at] for at in kept] for row in told], width).lines()
    elif table.rows is not None:
        lines.append((Span(" no requests of io_uring seen", "weak"),))
    if hidden := len(rows) - len(shown):
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    lines += [(Span(f" io_uring: {scrub(text, 200)}", "bad"),) for text in table.problems]
    if table.note:
        lines.append((Span(f" {scrub(table.note, 200)}", "weak"),))
    return lines


def _cells(row: UringUse) -> tuple[str, ...]:
    counts = map(format_count, (row.requests, row.errors, row.in_flight, row.more, row.silent))
    total = format_ns(row.wall_ns) if row.completed else "-"
    return *counts, total, format_ns(row.p99_ns), format_ns(row.max_ns)


def _name(row: UringUse) -> str:
    return f"{row.name} ({scrub(row.errno, 20)})" if row.errno is not None else row.name
