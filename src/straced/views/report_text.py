"""A report for a terminal: the first screen of the summary, then findings, slow calls, files and processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from straced.fulltrace.values import FileReport, ProcessReport, Report
from straced.units import format_bytes, format_count, format_ns
from straced.views.text import Line, Span, first_screen

TREE_ROWS = 30
PATH_WIDTH = 56


def render(report: Report, *, sort: str = "time", limit: int | None = 20, width: int | None = None) -> tuple[Line, ...]:
    """All sections; ``limit`` rows in each, ``None`` for all."""
    summary = report.summary
    title = f"{report.source}: {format_count(report.lines)} lines"
    name = f"{summary.target.pid} ({summary.target.comm})" if summary.target.comm else ""
    lines = list(
        first_screen(summary, title=f"{title}, {name}" if name else title, sort=sort, limit=limit, width=width)
    )
    lines += _section("Findings", _findings(report, limit))
    lines += _section("Slowest calls", _slowest(report, limit))
    lines += _section("Files, sockets and pipes", _files(report, limit))
    lines += _section("Processes", _processes(report, limit))
    lines += _section("Lines that could not be read", _unread(report))
    return tuple(lines)


def _section(title: str, lines: Iterable[Line]) -> list[Line]:
    body = list(lines)
    return [(), (Span(title, "title"),), *body] if body else []


def _more(hidden: int, words: str = "more: --all") -> list[Line]:
    return [(Span(f" ({format_count(hidden)} {words})", "weak"),)] if hidden > 0 else []


def _findings(report: Report, limit: int | None) -> list[Line]:
    shown = report.findings if limit is None else report.findings[: max(8, limit // 2)]
    lines: list[Line] = []
    for finding in shown:
        cost = format_ns(finding.cost_ns) if finding.cost_ns is not None else ""
        where = ", ".join(str(number) for number in finding.lines if number)
        plural = "lines" if len(finding.lines) > 1 else "line"
        lines.append((Span(f" {cost:>8}  "), Span(finding.text, "strong"), Span(f"  ({plural} {where})", "weak")))
    return lines + _more(len(report.findings) - len(shown))


def _slowest(report: Report, limit: int | None) -> list[Line]:
    shown = report.slowest if limit is None else report.slowest[: max(5, limit // 3)]
    room = len(str(max((call.line for call in shown), default=0)))
    return [
        (Span(f" {format_ns(call.duration_ns):>8}  line {call.line:>{room}}  {call.pid:>7}  {call.text[:110]}"),)
        for call in shown
    ]


def _files(report: Report, limit: int | None) -> list[Line]:
    shown = report.files if limit is None else report.files[:limit]
    if not shown:
        return []
    head = f" {'calls':>9} {'errors':>7} {'read':>9} {'written':>9} {'time':>8}  path"
    lines: list[Line] = [(Span(head, "title"),)]
    lines += [(Span(_file_row(row)),) for row in shown]
    lines += _more(len(report.files) - len(shown))
    return lines + _more(report.files_folded, "or fewer paths are added up in the row of all others")


def _file_row(row: FileReport) -> str:
    figures = (
        f" {format_count(row.calls):>9} {format_count(row.errors):>7} {format_bytes(row.in_bytes):>9}"
        f" {format_bytes(row.out_bytes):>9} {format_ns(row.wall_ns):>8}"
    )
    return f"{figures}  {shorten(row.path)}"


def shorten(path: str, width: int = PATH_WIDTH) -> str:
    """A long path without its middle: both ends tell more."""
    return path if len(path) <= width else f"{path[: width // 3]}…{path[-(width - width // 3 - 1) :]}"


def _processes(report: Report, limit: int | None) -> list[Line]:
    if len(report.processes) < 2:
        return []
    by_parent: dict[int | None, list[ProcessReport]] = {}
    pids = {process.pid for process in report.processes}
    for process in report.processes:
        by_parent.setdefault(process.parent if process.parent in pids else None, []).append(process)
    rows: list[tuple[int, ProcessReport]] = []
    stack = [(0, process) for process in reversed(by_parent.get(None, []))]
    while stack:
        depth, process = stack.pop()
        rows.append((depth, process))
        stack += [(depth + 1, child) for child in reversed(by_parent.get(process.pid, []))]
    shown = rows if limit is None else rows[: max(limit, TREE_ROWS)]
    head = f" {'calls':>9} {'in calls':>9} {'waiting':>8} {'from':>8} {'to':>8}  process"
    lines: list[Line] = [(Span(head, "title"),)]
    lines += [(Span(_process_row(depth, process)),) for depth, process in shown]
    return lines + _more(len(rows) - len(shown)) + _more(report.processes_hidden, "processes are only in the sums")


def _process_row(depth: int, process: ProcessReport) -> str:
    start, end = _seconds(process.start_s), _seconds(process.end_s)
    fate = ""
    if process.killed:
        fate = f"  killed by {process.killed}"
    elif process.exit_status:
        fate = f"  exit {process.exit_status}"
    threads = f"  {process.threads} threads" if process.threads > 1 else ""
    waiting = format_ns(process.waiting_calls_ns)
    return (
        f" {format_count(process.calls):>9} {format_ns(process.wall_ns):>9} {waiting:>8} {start:>8} {end:>8}"
        f"  {'  ' * min(depth, 12)}{process.pid} {process.name or '?'}{threads}{fate}"
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def _unread(report: Report) -> Sequence[Line]:
    lines: list[Line] = [(Span(f" line {number}: {text}", "weak"),) for number, text in report.unread_lines[:10]]
    return lines + _more(report.unread - len(lines), "more")
