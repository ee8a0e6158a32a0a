"""The tables of history: who was busiest, step by step, program by program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from straced.model.history import Point, ProgramUse, Ranked, SeriesInfo
from straced.text.sanitize import scrub
from straced.text.units import format_bytes, format_count, format_ns
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.events import clock
from straced.views.text.spans import Line, Span

UNSEEN = "no history for these processes in this period; what is watched: straced watch ls"
TICK_NS = 10**7
"""In which /proc tells CPU time (USER_HZ)."""


def _line(text: str, style: str = "") -> Line:
    return (Span(text, style),)


def top_lines(ranked: Sequence[Ranked], width: int | None) -> list[Line]:
    """The busiest, a line each."""
    if not ranked:
        return [_line("no history for this period; what is watched: straced watch ls", "weak")]
    columns = (
        named_column("process", (each.process.host for each in ranked)),
        FittedColumn("calls"),
        FittedColumn("errors", goes=4),
        FittedColumn("time", goes=3),
        FittedColumn("CPU", goes=2),
        FittedColumn("memory", goes=1),
        FittedColumn("job", left=True, goes=5, least=8),
    )
    rows = [
        (
            with_host(each.process.host, name_of(each.process)),
            format_count(each.calls),
            format_count(each.errors),
            format_ns(each.wall_ns),
            format_cpu(each.cpu_ns) if each.process.kind == "process" else known_cpu(each.cpu_ns),
            format_bytes(each.rss_max_bytes),
            scrub(each.process.labels.get("job", ""), 30),
        )
        for each in ranked
    ]
    return grid(columns, rows, width, lead="").lines()


def timeline_lines(points: Sequence[Point], width: int | None = None) -> list[Line]:
    """A line a step."""
    if not points:
        return [_line(UNSEEN, "weak")]
    columns = (
        FittedColumn("from", left=True),
        FittedColumn("calls"),
        FittedColumn("errors", goes=4),
        FittedColumn("time", goes=3),
        FittedColumn("waiting", goes=2),
        FittedColumn("CPU"),
        FittedColumn("memory", goes=1),
    )
    rows = [
        (
            clock(point.time)[:16],
            format_count(point.calls),
            format_count(point.errors),
            format_ns(point.wall_ns),
            format_ns(point.waiting_ns),
            format_cpu(point.cpu_ns),
            format_bytes(point.rss_max_bytes),
        )
        for point in points
    ]
    return grid(columns, rows, width, lead="").lines()


def uses_lines(programs: Sequence[ProgramUse], width: int | None = None) -> list[Line]:
    """A line for each program; those that lived too short to be seen are there, too."""
    if not programs:
        return [_line("no program of it did anything in this time", "weak")]
    columns = (
        named_column("program (job)", (use.host for use in programs)),
        FittedColumn("calls"),
        FittedColumn("errors", goes=2),
        FittedColumn("p99", goes=3),
        FittedColumn("max", goes=4),
        FittedColumn("CPU", goes=1),
    )
    rows = [
        (
            program_of(use.job, use.program, use.host),
            format_count(use.calls),
            format_count(use.errors),
            format_ns(use.p99_ns),
            format_ns(use.max_ns),
            known_cpu(use.cpu_ns),
        )
        for use in programs
    ]
    return grid(columns, rows, width, lead="").lines()


def name_of(process: SeriesInfo) -> str:
    """``4242 (make)``; descendants that have ended are said to be."""
    if process.kind == "program":
        return f"{scrub(process.comm, 40)}, ended below {process.pid}"
    if process.kind == "others":
        return f"{scrub(process.comm, 40)}, ended below {process.pid} with other rights"
    name = f"{process.pid} ({scrub(process.comm, 40)})"
    return f"ended descendants of {name}" if process.kind == "ended" else name


def program_of(job: str, program: str, host: str = "") -> str:
    """A program with its job and host."""
    return with_host(host, f"{scrub(program, 40)} ({scrub(job, 30)})" if job else scrub(program, 40))


def with_host(host: str, name: str) -> str:
    """A name behind the host that it is of."""
    return f"{scrub(host, 260)}: {name}" if host else name


def named_column(title: str, hosts: Iterable[str]) -> FittedColumn:
    """A column of processes or programs: of a long name the begin stays, of one on a host the end, which differs."""
    return FittedColumn(title, left=True, least=24, keeps="end" if any(hosts) else "begin")


def format_cpu(value: int | None) -> str:
    """CPU time as /proc has it, in hundredths of a second: less than one is not none."""
    return "< 10 ms" if value is not None and 0 <= value < TICK_NS else format_ns(value)


def known_cpu(value: int | None) -> str:
    """CPU time of those who ended between two looks: what was not seen of it is not known."""
    return format_ns(value or None)
