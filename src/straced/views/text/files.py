"""Sums by file and peer as text."""

from __future__ import annotations

from straced.model.files import FileTable, FileUse
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_count, format_ns
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.spans import Line, Span

COLUMNS = (
    FittedColumn("calls"),
    FittedColumn("errors", goes=5),
    FittedColumn("bytes", goes=4),
    FittedColumn("total"),
    FittedColumn("waiting", goes=2),
    FittedColumn("p99", goes=1),
    FittedColumn("max", goes=3),
    FittedColumn("file or peer", left=True, least=32, keeps="end"),
)


def file_lines(table: FileTable, limit: int | None = 20, width: int | None = None) -> list[Line]:
    """The lines of a table, most time first.

    Args:
        table: what to show.
        limit: rows to show; ``None`` for all.
        width: columns there are; names are cut at their beginning to what is left of them.
    """
    shown = table.rows if limit is None else table.rows[:limit]
    rows = [(*_cells(row), _name(row)) for row in shown]
    if table.others is not None:
        rows.append((*_cells(table.others), "(all others)"))
    lines = grid(COLUMNS, rows, width).lines()
    if hidden := len(table.rows) - len(shown):
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    if table.unplaced:
        left_out = count_of(table.unplaced, "call is in no row: it", "calls are in no row: they")
        lines.append((Span(f" {left_out} came too close together", "bad"),))
    return lines


def _cells(row: FileUse) -> tuple[str, ...]:
    times = map(format_ns, (row.wall_ns, row.waiting_ns, row.p99_ns, row.max_ns))
    return format_count(row.calls), format_count(row.errors), format_bytes(row.bytes), *times


def _name(row: FileUse) -> str:
    if row.name is None:
        return "(not resolved)"
    name = scrub(row.name)
    return f"{name} ({scrub(row.errno, 20)})" if row.errno is not None else name
