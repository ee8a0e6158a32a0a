"""History as text: what processes did in a span, step by step, by rank, and the report of a job."""

from __future__ import annotations

import time
from collections.abc import Sequence

from straced.model.aggregation import sort_rows
from straced.model.event_folding import COMINGS, EventLine, folded
from straced.model.history import HistoryAnswer, JobReport, KeptAlert, KeptEvent, Point, ProgramUse, Ranked, SeriesInfo
from straced.model.moment import CallLatency, FailingCall
from straced.model.types import Quality, Summary, Target, Window
from straced.text.sanitize import scrub
from straced.text.units import format_bytes, format_count, format_ns
from straced.views.text import table
from straced.views.text.summary import Line, Span

NAMED = 5
SHOWN_EVENTS = 20


def _line(text: str, style: str = "") -> Line:
    return (Span(text, style),)


def clock(epoch_s: float) -> str:
    """Local time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def _named(process: SeriesInfo) -> str:
    return on_host(process.host, name_of(process), 80) if process.host else name_of(process)


def name_of(process: SeriesInfo) -> str:
    """``4242 (make)``; descendants that have ended are said to be."""
    if process.kind == "program":
        return f"{scrub(process.comm, 40)}, ended below {process.pid}"
    if process.kind == "others":
        return f"{scrub(process.comm, 40)}, ended below {process.pid} with other rights"
    name = f"{process.pid} ({scrub(process.comm, 40)})"
    return f"ended descendants of {name}" if process.kind == "ended" else name


def answer_lines(answer: HistoryAnswer, *, sort: str, limit: int | None, width: int | None) -> list[Line]:
    """What some processes did, as the first screen has it."""
    named = [each for each in answer.processes if each.kind == "process"]
    if not answer.processes:
        return [_line("no history for these processes in this period", "weak")]
    names = ", ".join(_named(each) for each in named[:NAMED]) + (", ..." if len(named) > NAMED else "")
    lines = [_line(f"{names}: {clock(answer.start)} to {clock(min(answer.end, time.time()))}", "strong")]
    lines += [_line(""), *_calls(answer, sort, limit, width), _line(""), *_facts(answer)]
    return lines


def _calls(answer: HistoryAnswer, sort: str, limit: int | None, width: int | None) -> list[Line]:
    if not answer.counted:
        return [_line("calls were not counted: straced status says why", "weak")]
    rows = sort_rows(answer.rows, sort)
    shown = rows if limit is None else rows[:limit]
    summary = Summary(
        target=Target(pid=0, start_ticks=0, boot_id=""),
        tracer="history",
        quality=Quality(kind="exact"),
        window=Window(start=answer.start, end=answer.end, duration_ns=int((answer.end - answer.start) * 1e9)),
        rows=rows,
        total=answer.total,
    )
    return table.render(shown, len(rows) - len(shown), summary, width)


def _facts(answer: HistoryAnswer) -> list[Line]:
    peaks = answer.peaks
    words = [
        f"CPU {format_ns(peaks.cpu_ns)}",
        f"memory at most {format_bytes(peaks.rss_max_bytes)}",
        f"{format_count(peaks.threads_max)} threads",
        f"{format_count(peaks.fds_max)} descriptors",
    ]
    lines = [_line(", ".join(words))]
    if answer.lost is None or answer.lost:
        lines.append(_line(f"lossy: {format_count(answer.lost)} calls could not be counted", "bad"))
    if answer.gaps_s:
        lines.append(
            _line(f"the service was not running for {format_ns(int(answer.gaps_s * 1e9))} of this period", "bad")
        )
    return lines


def top_lines(ranked: Sequence[Ranked], width: int | None) -> list[Line]:
    """The busiest, a line each."""
    if not ranked:
        return [_line("no history for this period; what is watched: straced watch ls", "weak")]
    room = 36 if any(each.process.host for each in ranked) else 26
    memory, job = ("", "") if room > 26 else (f" {'memory':>8}", "  job")
    head = f"{'process':<{room}} {'calls':>13} {'errors':>9} {'time':>7} {'CPU':>7}{memory}{job}"
    lines = [_line(head, "title")]
    for each in ranked:
        if each.process.host:
            name, more = on_host(each.process.host, name_of(each.process), room), ""
        else:
            name = name_of(each.process)[:room]
            more = f" {format_bytes(each.rss_max_bytes):>8}  {scrub(each.process.labels.get('job', ''), 30)}"
        cells = (
            f"{name:<{room}} {format_count(each.calls):>13} {format_count(each.errors):>9}"
            f" {format_ns(each.wall_ns):>7} {format_ns(each.cpu_ns):>7}{more}"
        )
        lines.append(_line(cells.rstrip()[:width]))
    return lines


def timeline_lines(points: Sequence[Point]) -> list[Line]:
    """A line a step."""
    if not points:
        return [_line("no history for these processes in this period", "weak")]
    head = f"{'from':<16} {'calls':>13} {'errors':>10} {'time':>7} {'waiting':>7} {'CPU':>7} {'memory':>9}"
    lines = [_line(head, "title")]
    for point in points:
        lines.append(
            _line(
                f"{clock(point.time)[:16]:<16} {format_count(point.calls):>13} {format_count(point.errors):>10}"
                f" {format_ns(point.wall_ns):>7} {format_ns(point.waiting_ns):>7} {format_ns(point.cpu_ns):>7}"
                f" {format_bytes(point.rss_max_bytes):>9}"
            )
        )
    return lines


def report_lines(report: JobReport, *, sort: str, limit: int | None, width: int | None) -> list[Line]:
    """The resources of a job."""
    answer = report.answer
    count = len({(each.pid, each.start_ticks) for each in answer.processes if each.kind == "process"})
    lines = [
        _line(f"job {scrub(report.job, 100)}: {count} process{'' if count == 1 else 'es'} seen", "strong"),
        _line(""),
    ]
    if not answer.processes:
        return [_line(f'no history for job "{scrub(report.job, 100)}"', "weak")]
    lines += [*_calls(answer, sort, limit, width), _line(""), *uses_lines(report.programs[:limit]), _line("")]
    lines += _facts(answer)
    if report.exit_statuses:
        lines.append(_line(_exits(report.exit_statuses)))
    lines += [_line(alert_text(alert), "bad") for alert in report.alerts]
    lines += [_line(fold_text(line)) for line in folded(report.events)[-SHOWN_EVENTS:]]
    return lines


def program_of(job: str, program: str, room: int, host: str = "") -> str:
    """A program with its job and host, cut where there is no room for all."""
    name = f"{scrub(program, 40)} ({scrub(job, 30)})" if job else scrub(program, 40)
    if host:
        return on_host(host, name, room)
    return name if len(name) <= room else f"{name[: room - 1]}…"


def on_host(host: str, name: str, room: int) -> str:
    """A name with its host; of a long one the end stays, which tells it from others."""
    host = scrub(host, 260)
    left = max(8, room - len(name) - 2)
    host = host if len(host) <= left else f"…{host[1 - left :]}"
    whole = f"{host}: {name}"
    return whole if len(whole) <= room else f"{whole[: room - 1]}…"


def room_of(rows: Sequence[ProgramUse] | Sequence[FailingCall] | Sequence[CallLatency]) -> int:
    """Columns for the names of programs."""
    return 30 if any(row.host for row in rows) else 24


def uses_lines(programs: Sequence[ProgramUse]) -> list[Line]:
    """A line for each program; those that lived too short to be seen are there, too."""
    if not programs:
        return [_line("no program of it did anything in this time", "weak")]
    room = room_of(programs)
    head = f"{'program (job)':<{room}} {'calls':>12} {'errors':>9} {'p99':>8} {'max':>8} {'CPU':>8}"
    lines = [_line(head, "title")]
    for use in programs:
        name = program_of(use.job, use.program, room, use.host)
        lines.append(
            _line(
                f"{name:<{room}} {format_count(use.calls):>12} {format_count(use.errors):>9}"
                f" {format_ns(use.p99_ns):>8} {format_ns(use.max_ns):>8} {format_ns(use.cpu_ns):>8}"
            )
        )
    return lines


def _at(host: str) -> str:
    return f"{scrub(host, 260)}: " if host else ""


def _exits(statuses: dict[str, int]) -> str:
    """``129 processes exited: 3 killed 9``, with the ends of which more is known than that they came."""
    total = sum(statuses.values())
    known = ", ".join(f"{count} {scrub(how, 40)}" for how, count in sorted(statuses.items()) if how != "ended")
    return f"{total} process{'' if total == 1 else 'es'} exited{f': {known}' if known else ''}"


def event_text(event: KeptEvent) -> str:
    """An event on one line."""
    status = event.data.get("exit_status")
    end = "" if status is None else f" with {status}" if isinstance(status, int) and status >= 0 else ""
    why = event.data.get("why")
    killed = f", {why}" if isinstance(why, str) and why.startswith("killed") else ""
    return f"{clock(event.time)}  {event.kind:<16} {_at(event.host)}{scrub(event.text, 300)}{end}{killed}"


def fold_text(line: EventLine) -> str:
    """An event, or the comings and goings of the processes of one name, on one line."""
    if not line.is_folded:
        return event_text(line.last)
    last = line.last
    counts = ", ".join(f"{format_count(line.counts[kind])} {kind}" for kind in COMINGS if kind in line.counts)
    failed = f" ({format_count(line.failed)} of them not with 0)" if line.failed else ""
    job = f", job {scrub(last.job, 40)}" if last.job else ""
    begun = time.strftime("%H:%M:%S", time.localtime(line.since))
    name = f"{_at(last.host)}{scrub(last.comm, 40)}"
    return f"{clock(last.time)}  {'processes':<16} {name}: {counts}{failed} since {begun}{job}"


def alert_text(alert: KeptAlert) -> str:
    """An alert on one line."""
    until = "open" if alert.closed is None else f"for {format_ns(int((alert.closed - alert.opened) * 1e9))}"
    return f"{clock(alert.opened)}  {alert.kind:<16} {_at(alert.host)}{scrub(alert.text, 300)} ({until})"
