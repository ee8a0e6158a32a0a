"""A report for a terminal: the first screen of the summary, then findings, slow calls, files and processes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from straced.text.units import count_of, format_bytes, format_count, format_ns
from straced.traces.values import FileReport, ProcessReport, TraceReport
from straced.views.text.split import split_lines
from straced.views.text.summary import Line, Span, first_screen

TREE_ROWS = 30
PATH_WIDTH, CALL_WIDTH = 56, 110
WIDE = 100
LEAST_WIDTH = 60
"""A narrower terminal has to wrap."""


def render(
    report: TraceReport, *, sort: str = "time", limit: int | None = 20, width: int | None = None
) -> tuple[Line, ...]:
    """All sections; ``limit`` rows in each, ``None`` for all; ``width`` as for :func:`first_screen`.

    On a terminal every line fits; elsewhere each finding is one line, for grep.
    """
    if width is not None:
        width = max(width, LEAST_WIDTH)
    summary = report.summary
    lines = list(first_screen(summary, title=_title(report, width), sort=sort, limit=limit, width=width))
    lines += _section("Findings", _findings(report, limit, width))
    lines += _section("Slowest calls", _slowest(report, limit, width))
    lines += _section("Files, sockets and pipes", _files(report, limit, width))
    lines += _section("Processes", _processes(report, limit, width))
    lines += _section("Threads", _threads(report, limit, width))
    lines += _section("In a call at the end", _at_end(report, limit, width))
    lines += _section("Lines that could not be read", _unread(report, width))
    return tuple(lines)


def _title(report: TraceReport, width: int | None) -> str:
    """Which trace, and of what; where there is room, how long."""
    target = report.summary.target
    name = f"{target.pid} ({target.comm})" if target.comm else ""
    what = "record" if report.source.endswith(".strc") else "line"
    lines = count_of(report.lines, what) if not name or width is None or width >= WIDE else ""
    return f"{report.source}: {', '.join(filter(None, (lines, name)))}"


def _section(title: str, lines: Iterable[Line]) -> list[Line]:
    body = list(lines)
    return [(), (Span(title, "title"),), *body] if body else []


def _more(hidden: int, words: str = "more: --all") -> list[Line]:
    return [(Span(f" ({format_count(hidden)} {words})", "weak"),)] if hidden > 0 else []


def _findings(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
    shown = report.findings if limit is None else report.findings[: max(8, limit // 2)]
    lines: list[Line] = []
    for finding in shown:
        cost = format_ns(finding.cost_ns) if finding.cost_ns is not None else ""
        where = ", ".join(str(number) for number in finding.lines if number)
        plural = "line" if len(finding.lines) == 1 else "lines"
        parts = [f"{format_ns(finding.waiting_ns)} waiting"] if finding.waiting_ns is not None else []
        parts += [f"{plural} {where}"] if where else []
        evidence = f"({'; '.join(parts)})" if parts else ""
        if width is None:
            lines.append((Span(f" {cost:>8}  "), Span(finding.text, "strong"), Span(f"  {evidence}", "weak")))
            continue
        first, *more = textwrap.wrap(finding.text, width - 12)
        lines.append((Span(f" {cost:>8}  "), Span(first, "strong")))
        lines += [(Span(" " * 11), Span(part, "strong")) for part in more]
        if len((more or [first])[-1]) + len(evidence) + 1 > width - 12:
            lines.append((Span(" " * 11),))
        lines[-1] += (Span(f" {evidence}" if lines[-1][-1].text.strip() else evidence, "weak"),)
    return lines + _more(len(report.findings) - len(shown))


def _slowest(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
    shown = report.slowest if limit is None else report.slowest[: max(5, limit // 3)]
    room = len(str(max((call.line for call in shown), default=0)))
    told = any(call.waiting_ns is not None for call in shown)
    left = CALL_WIDTH if width is None else width - 27 - room - (10 if told else 0)
    lines: list[Line] = [(Span(f" {'took':>8}  {'waiting':>8}", "title"),)] if told else []
    for call in shown:
        times = f" {format_ns(call.duration_ns):>8}" + (f"  {format_ns(call.waiting_ns):>8}" if told else "")
        lines.append((Span(f"{times}  line {call.line:>{room}}  {call.pid:>7}  {cut(call.text, left)}"),))
    return lines


def cut(text: str, width: int) -> str:
    """A long text without its end."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _files(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
    shown = report.files if limit is None else report.files[:limit]
    if not shown:
        return []
    told = any(row.waiting_ns is not None for row in shown)
    waiting = f" {'waiting':>8}" if told else ""
    head = f" {'calls':>9} {'errors':>7} {'read':>9} {'written':>9} {'time':>8}{waiting}  path"
    lines: list[Line] = [(Span(head, "title"),)]
    room = PATH_WIDTH if width is None else width - 51 - len(waiting)
    lines += [(Span(_file_row(row, room, told=told)),) for row in shown]
    lines += _more(len(report.files) - len(shown))
    return lines + _more(
        report.files_folded,
        "path at most is added up in the row of all others"
        if report.files_folded == 1
        else "or fewer paths are added up in the row of all others",
    )


def _file_row(row: FileReport, room: int, *, told: bool) -> str:
    figures = (
        f" {format_count(row.calls):>9} {format_count(row.errors):>7} {format_bytes(row.in_bytes):>9}"
        f" {format_bytes(row.out_bytes):>9} {format_ns(row.wall_ns):>8}"
    )
    if told:
        figures += f" {format_ns(row.waiting_ns):>8}"
    return f"{figures}  {shorten(row.path, room)}"


def shorten(path: str, width: int = PATH_WIDTH) -> str:
    """A long path without its middle: both ends tell more."""
    return path if len(path) <= width else f"{path[: width // 3]}…{path[-(width - width // 3 - 1) :]}"


def _processes(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
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
    told = any(process.waiting_ns is not None for _, process in shown)
    head = f" {'calls':>9} {'in calls':>9} {'waiting' if told else 'in waits':>8} {'from':>8} {'to':>8}  process"
    lines: list[Line] = [(Span(head, "title"),)]
    lines += [(Span(cut(_process_row(depth, process, told=told), width or CALL_WIDTH)),) for depth, process in shown]
    return (
        lines
        + _more(len(rows) - len(shown))
        + _more(
            report.processes_hidden,
            "process is only in the sums" if report.processes_hidden == 1 else "processes are only in the sums",
        )
    )


def _process_row(depth: int, process: ProcessReport, *, told: bool) -> str:
    start, end = _seconds(process.start_s), _seconds(process.end_s)
    fate = ""
    if process.killed:
        fate = f"  killed by {process.killed}"
    elif process.exit_status:
        fate = f"  exit {process.exit_status}"
    threads = f"  {count_of(process.threads, 'thread')}" if process.threads > 1 else ""
    waiting = format_ns(process.waiting_ns if told else process.waiting_calls_ns)
    return (
        f" {format_count(process.calls):>9} {format_ns(process.wall_ns):>9} {waiting:>8} {start:>8} {end:>8}"
        f"  {'  ' * min(depth, 12)}{process.pid} {process.name or '?'}{threads}{fate}"
    )


def _threads(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
    """Where a process has several; else the processes say it."""
    if len({part.pid for part in report.threads}) == len(report.threads):
        return []
    return split_lines(report.threads, "thread", limit=limit, width=width)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def _at_end(report: TraceReport, limit: int | None, width: int | None) -> list[Line]:
    shown = report.at_end if limit is None else report.at_end[: max(5, limit // 3)]
    room = len(str(max((task.line for task in shown), default=0)))
    lines: list[Line] = []
    for task in shown:
        about = f"  {task.path}" if task.path else ""
        text = f" line {task.line:>{room}}  {task.tid:>7}  {task.text}{about}"
        lines.append((Span(cut(text, width or CALL_WIDTH)),))
    return lines + _more(len(report.at_end) - len(shown))


def _unread(report: TraceReport, width: int | None) -> Sequence[Line]:
    lines: list[Line] = [
        (Span(cut(f" line {number}: {text}", width or CALL_WIDTH), "weak"),)
        for number, text in report.unread_lines[:10]
    ]
    return lines + _more(report.unread - len(lines), "more")
