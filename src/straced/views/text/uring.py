"""Requests of io_uring as text."""

from __future__ import annotations

from straced.model.uring import UringTable, UringUse
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.spans import Line, Span

TITLES = ("requests", "errors", "in flight", "more", "silent", "total", "p99", "max")
FEW = ("more", "silent")
"""Columns that are left out where they hold nothing."""
GAP = "  "


def uring_lines(table: UringTable, limit: int | None = 20) -> list[Line]:
    """The lines of a table, most time first.

    Args:
        table: what to show.
        limit: rows to show; ``None`` for all.
    """
    rows = table.rows or ()
    shown = rows if limit is None else rows[:limit]
    lines: list[Line] = []
    if shown:
        told = [dict(zip(TITLES, _cells(row), strict=True)) for row in shown]
        titles = [title for title in TITLES if title not in FEW or any(cells[title] != "0" for cells in told)]
        widths = [max(len(title), *(len(cells[title]) for cells in told)) for title in titles]
        lines.append((Span(_row(titles, "operation", widths), "title"),))
        for cells, row in zip(told, shown, strict=True):
            lines.append((Span(_row([cells[title] for title in titles], _name(row), widths)),))
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


def _row(cells: list[str], name: str, widths: list[int]) -> str:
    return " " + GAP.join(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True)) + GAP + name
