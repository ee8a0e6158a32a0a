"""Sums by file and peer as text."""

from __future__ import annotations

from straced.model.files import FileTable, FileUse, sort_files
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_count, format_ns
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.spans import Line, Span

COLUMNS = (
    FittedColumn("calls"),
    FittedColumn("errors", goes=5),
    FittedColumn("bytes", goes=4),
    FittedColumn("syncs", goes=7),
    FittedColumn("total"),
    FittedColumn("waiting", goes=2),
    FittedColumn("p99", goes=1),
    FittedColumn("max", goes=3),
    FittedColumn("reply", goes=6),
    FittedColumn("max reply", goes=2),
    FittedColumn("file or peer", left=True, least=32, keeps="end"),
)


NONE = "-"
OF_SOME = ("syncs", "reply", "max reply")
"""Columns that are there if one of the rows has something in them."""


def file_lines(table: FileTable, limit: int | None = 20, width: int | None = None, sort: str = "time") -> list[Line]:
    """The lines of a table.

    Args:
        table: what to show.
        limit: rows to show; ``None`` for all.
        width: columns there are; names are cut at their beginning to what is left of them.
        sort: one of :data:`straced.model.aggregation.SORT_KEYS`.
    """
    ordered = sort_files(table.rows, sort)
    shown = ordered if limit is None else ordered[:limit]
    if not shown and table.others is None and not table.unplaced:
        return [(Span(" No call was about a file or a peer.", "weak"),)]
    rows = [(*_cells(row), _name(row)) for row in shown]
    if table.others is not None:
        rows.append((*_cells(table.others), "(all others)"))
    kept = [
        at for at, column in enumerate(COLUMNS) if column.title not in OF_SOME or any(row[at] != NONE for row in rows)
    ]
    lines = grid([COLUMNS[at] for at in kept], [tuple(row[at] for at in kept) for row in rows], width).lines()
    if hidden := len(table.rows) - len(shown):
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    if table.unplaced:
        left_out = count_of(table.unplaced, "call is in no row: it", "calls are in no row: they")
        lines.append((Span(f" {left_out} came too close together", "bad"),))
    return lines


def _cells(row: FileUse) -> tuple[str, ...]:
    syncs = format_count(row.syncs) if row.syncs else NONE
    times = map(format_ns, (row.wall_ns, row.waiting_ns, row.p99_ns, row.max_ns, row.mean_reply_ns, row.reply_max_ns))
    return format_count(row.calls), format_count(row.errors), format_bytes(row.bytes), syncs, *times


def _name(row: FileUse) -> str:
    if row.name is None:
        return "(not resolved)"
    name = scrub(row.name)
    return f"{name} ({scrub(row.errno, 20)})" if row.errno is not None else name
