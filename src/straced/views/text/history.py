"""History as text: what processes did in a span, step by step, by rank, and the report of a job."""

from __future__ import annotations

import time

from straced.model.aggregation import sort_rows
from straced.model.event_folding import folded
from straced.model.history import HistoryAnswer, JobReport, SeriesInfo
from straced.model.types import Quality, Summary, Target, Window
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_bytes, format_ns, format_span
from straced.views.text import table
from straced.views.text.events import alert_line, clock, fold_line
from straced.views.text.history_tables import UNSEEN, name_of, uses_lines, with_host
from straced.views.text.spans import Line, Span, fitted

NAMED = 5
SHOWN_EVENTS = 20


def _line(text: str, style: str = "") -> Line:
    return (Span(text, style),)


def _named(process: SeriesInfo) -> str:
    return with_host(process.host, name_of(process))


def answer_lines(answer: HistoryAnswer, *, sort: str, limit: int | None, width: int | None) -> list[Line]:
    """What some processes did, as the first screen has it."""
    named = [each for each in answer.processes if each.kind == "process"]
    if not answer.processes:
        return [_line(UNSEEN, "weak")]
    names = ", ".join(_named(each) for each in named[:NAMED]) + (", ..." if len(named) > NAMED else "")
    lines = [_line(f"{names}: {clock(answer.start)} to {clock(min(answer.end, time.time()))}", "strong")]
    lines += [_line(""), *_calls(answer, sort, limit, width), _line(""), *_facts(answer)]
    return fitted(lines, width)


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
        count_of(peaks.threads_max, "thread"),
        count_of(peaks.fds_max, "descriptor"),
    ]
    lines = [_line(", ".join(words))]
    if answer.lost is None or answer.lost:
        lines.append(_line(f"lossy: {count_of(answer.lost, 'call')} could not be counted", "bad"))
    if answer.gaps_s:
        lines.append(
            _line(f"the service was not running for {format_span(int(answer.gaps_s * 1e9))} of this period", "bad")
        )
    return lines


def report_lines(report: JobReport, *, sort: str, limit: int | None, width: int | None) -> list[Line]:
    """The resources of a job."""
    answer = report.answer
    count = len({(each.pid, each.start_ticks) for each in answer.processes if each.kind == "process"})
    lines = [
        _line(f"job {scrub(report.job, 100)}: {count_of(count, 'process')} seen", "strong"),
        _line(""),
    ]
    if not answer.processes:
        return [_line(f'no history for job "{scrub(report.job, 100)}"; what is watched: straced watch ls', "weak")]
    lines += [*_calls(answer, sort, limit, width), _line(""), *uses_lines(report.programs[:limit], width), _line("")]
    lines += _facts(answer)
    if report.exit_statuses:
        lines.append(_line(_exits(report.exit_statuses)))
    lines += map(alert_line, report.alerts)
    lines += map(fold_line, folded(report.events)[-SHOWN_EVENTS:])
    return fitted(lines, width)


def _exits(statuses: dict[str, int]) -> str:
    """``129 processes exited: 3 killed 9``, with the ends of which more is known than that they came."""
    total = sum(statuses.values())
    known = ", ".join(f"{count} {scrub(how, 40)}" for how, count in sorted(statuses.items()) if how != "ended")
    return f"{count_of(total, 'process')} exited{f': {known}' if known else ''}"
