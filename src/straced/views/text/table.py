"""The table of system calls as text: columns, a line of errno under a row that failed, the totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from straced.model.types import Summary, SyscallStats, Total
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.columns import UNKNOWN
from straced.views.text.spans import Line, Span

GAP = 2
MAX_NAME = 32
MAX_ERRNO = 6
FIRST_TO_GO = ("p99.9", "p50", "max", "p99", "waiting", "working")
"""Columns that a narrow screen does without, in this order."""


class TableColumn(NamedTuple):
    """A column: its title, the field it shows, and the least room it takes."""

    title: str
    field: str
    width: int


COLUMNS = (
    TableColumn("calls", "calls", 9),
    TableColumn("errors", "errors", 6),
    TableColumn("total", "wall_ns", 7),
    TableColumn("working", "working_ns", 7),
    TableColumn("waiting", "waiting_ns", 7),
    TableColumn("p50", "p50_ns", 6),
    TableColumn("p99", "p99_ns", 6),
)


WIDE_COLUMNS = (TableColumn("p99.9", "p999_ns", 6), TableColumn("max", "max_ns", 6))
"""Columns of a terminal, as far as they fit, and of a table that is sorted by one of them."""
TIMES = ("total", "working", "waiting")


def render(
    rows: Sequence[SyscallStats], hidden: int, summary: Summary, width: int | None, *, wide: bool = False
) -> list[Line]:
    """Title, rows with their errno, what is hidden, totals. Errors stand out, and the largest of the times."""
    columns = (*COLUMNS, *WIDE_COLUMNS) if wide else COLUMNS
    abis = {row.abi for row in summary.rows}
    names = [label(row, several_abis=len(abis) > 1) for row in rows]
    first = max(map(len, (*names, "syscall", "total")))
    counted: list[SyscallStats | Total] = [*rows, summary.total]
    cells = {column.title: [_cell(each, column) for each in counted] for column in columns}
    widths = {title: max(_width(title), *map(len, texts)) for title, texts in cells.items()}
    if width is not None:  # a column in which nothing is known tells nobody anything
        widths = {each: widths[each] for each in widths if each not in FIRST_TO_GO or {*cells[each]} - {*UNKNOWN}}
    kept = _fitting(first, widths, width)
    lines: list[Line] = [(Span(_row("syscall", [f"{title:>{widths[title]}}" for title in kept], first), "title"),)]
    fields = {column.title: column.field for column in columns}
    most = {title: max((getattr(row, fields[title]) or 0 for row in rows), default=0) for title in TIMES}
    for number, row in enumerate(rows):
        spans = [Span(f" {names[number]:<{first}}")]
        for title in kept:
            text = f"{cells[title][number]:>{widths[title]}}"
            spans.append(Span(" " * GAP + text, _style(title, getattr(row, fields[title]), most.get(title, 0))))
        lines.append(tuple(spans))
        if row.errno:
            lines.append((Span(f"   {errno_line(row.errno)}", "error"),))
    if hidden:
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    lines.append((Span(_row("total", [f"{cells[t][-1]:>{widths[t]}}" for t in kept], first), "strong"),))
    return lines


def _style(title: str, value: int | None, most: int) -> str:
    if title == "errors":
        return "error" if value else "weak"
    if title in TIMES and value:
        return "strong" if value == most else ""
    return "weak" if not value else ""


def label(row: SyscallStats, *, several_abis: bool) -> str:
    """The name of a call, with its ABI where a program uses several."""
    name = f"{row.name}@{row.abi}" if several_abis and row.abi != "x86_64" else row.name
    return scrub(name, MAX_NAME)


def errno_line(counts: dict[str, int]) -> str:
    """``ENOENT 35,990  EACCES 14``, most frequent first."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    words = [f"{scrub(name, 20)} {format_count(count)}" for name, count in ranked[:MAX_ERRNO]]
    rest = len(ranked) - MAX_ERRNO
    return "  ".join(words) + (f"  ({rest} more)" if rest > 0 else "")


def _row(name: str, cells: Sequence[str], first: int) -> str:
    return (f" {name:<{first}}" + "".join(" " * GAP + cell for cell in cells)).rstrip()


def _width(title: str) -> int:
    return next(column.width for column in (*COLUMNS, *WIDE_COLUMNS) if column.title == title)


def _cell(row: SyscallStats | Total, column: TableColumn) -> str:
    if isinstance(row, Total) and column.field in ("p50_ns", "p99_ns", "p999_ns", "max_ns"):
        return ""
    value: int | None = getattr(row, column.field)
    return format_ns(value) if column.field.endswith("_ns") else format_count(value)


def _fitting(first: int, widths: dict[str, int], width: int | None) -> list[str]:
    kept = list(widths)
    for title in [title for title in FIRST_TO_GO if title in kept]:
        if width is None or 1 + first + sum(GAP + widths[each] for each in kept) <= width:
            break
        kept.remove(title)
    return kept
