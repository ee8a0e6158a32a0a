"""Sums by file and peer as text."""

from __future__ import annotations

from straced.model.files import FileTable, FileUse
from straced.text.sanitize import CUT, scrub
from straced.text.units import format_bytes, format_count, format_ns
from straced.views.text.spans import Line, Span

TITLES = ("calls", "errors", "bytes", "total", "waiting", "p99", "max")
GAP = "  "
LEAST_NAME = 24


def file_lines(table: FileTable, limit: int | None = 20, width: int | None = None) -> list[Line]:
    """The lines of a table, most time first.

    Args:
        table: what to show.
        limit: rows to show; ``None`` for all.
        width: columns there are; names are cut at their beginning to what is left of them.
    """
    shown = table.rows if limit is None else table.rows[:limit]
    rows = [(_cells(row), _name(row)) for row in shown]
    if table.others is not None:
        rows.append((_cells(table.others), "(all others)"))
    widths = [max([len(title), *(len(cells[column]) for cells, _ in rows)]) for column, title in enumerate(TITLES)]
    lines: list[Line] = [(Span(_row(TITLES, "file or peer", widths, width), "title"),)]
    lines += [(Span(_row(cells, name, widths, width)),) for cells, name in rows]
    if hidden := len(table.rows) - len(shown):
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    if table.unplaced:
        lines.append(
            (Span(f" {format_count(table.unplaced)} calls are in no row: they came too close together", "bad"),)
        )
    return lines


def _cells(row: FileUse) -> tuple[str, ...]:
    times = map(format_ns, (row.wall_ns, row.waiting_ns, row.p99_ns, row.max_ns))
    return format_count(row.calls), format_count(row.errors), format_bytes(row.bytes), *times


def _name(row: FileUse) -> str:
    if row.name is None:
        return "(not resolved)"
    name = scrub(row.name)
    return f"{name} ({scrub(row.errno, 20)})" if row.errno is not None else name


def _row(cells: tuple[str, ...], name: str, widths: list[int], width: int | None) -> str:
    head = " " + GAP.join(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True)) + GAP
    room = None if width is None else max(LEAST_NAME, width - len(head))
    return head + (name if room is None or len(name) <= room else CUT + name[1 - room :])
