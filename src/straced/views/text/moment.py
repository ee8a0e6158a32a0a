"""What happened in a span, as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from straced.model.event_folding import SLOW_CALL, duration_ns, folded
from straced.model.history import KeptEvent
from straced.model.moment import CallLatency, FailingCall, Moment, MomentStep
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_count, format_ns, format_span
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.events import alert_line, clock, event_line, fold_line
from straced.views.text.history_tables import format_cpu, named_column, program_of, uses_lines
from straced.views.text.spans import Line, Span, fitted

SHOWN = 8
"""Programs, slow and failing calls, alerts and events."""
MOST_STEPS = 60


def _line(text: str, style: str = "") -> Line:
    return (Span(text, style),)


def moment_lines(moment: Moment, subject: str | None, width: int | None, notes: Sequence[str] = ()) -> list[Line]:
    """The whole of it."""
    about = f"{scrub(subject, 60)}: " if subject else ""
    lines = [_line(f"{about}{clock(moment.start)} to {clock(moment.end)}", "strong")]
    lines += [_line(note, "weak") for note in (*notes, *_notes(moment, subject))]
    if moment.steps:
        lines += [_line(""), *_steps(moment.steps, width)]
    for rows, shown in (
        (moment.programs, uses_lines(moment.programs[:SHOWN], width)),
        (moment.failing, _failures(moment.failing[:SHOWN], width)),
        (moment.slow, _slowest(moment.slow[:SHOWN], width)),
    ):
        lines += [_line(""), *shown] if rows else []
    lines += _section([alert_line(alert) for alert in moment.alerts[-SHOWN:]])
    lines += _section(_slow_calls(moment.events))
    others = [each for each in moment.events if each.kind != SLOW_CALL]
    lines += _section([fold_line(each) for each in folded(others)[-SHOWN:]])
    return fitted(lines, width)


def _notes(moment: Moment, subject: str | None) -> Iterable[str]:
    if not moment.known:
        yield f"nothing is known of {scrub(subject or '', 60)}: it was never watched, or is not yours to see"
    elif not moment.steps:
        first = moment.first
        if first is None:
            yield "there is no history yet; what is watched: straced watch ls"
        elif moment.end <= first:
            yield f"history begins later, at {clock(first)}"
        else:
            yield "nothing was counted in this time"
    if moment.clock_set:
        yield "the clock was set in this time: a minute may stand for two, or be missing"
    if moment.gaps_s:
        yield f"the service was not running for {format_span(int(moment.gaps_s * 1e9))} of it"
    if moment.lost is None or moment.lost:
        yield f"lossy: {count_of(moment.lost, 'call')} could not be counted"
    if moment.uncounted:
        yield f"the calls of {count_of(moment.uncounted, 'process')} were not counted, and are in no sum"


def _steps(steps: Sequence[MomentStep], width: int | None) -> list[Line]:
    columns = (
        FittedColumn("from", left=True),
        FittedColumn("calls"),
        FittedColumn("errors", goes=4),
        FittedColumn("p50", goes=1),
        FittedColumn("p99", goes=2),
        FittedColumn("max", goes=3),
        FittedColumn("CPU", goes=5),
    )
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(step.time)),
            format_count(step.calls),
            format_count(step.errors),
            format_ns(step.p50_ns),
            format_ns(step.p99_ns),
            format_ns(step.max_ns),
            format_cpu(step.cpu_ns),
        )
        for step in steps[:MOST_STEPS]
    ]
    lines = grid(columns, rows, width, lead="").lines()
    if len(steps) > MOST_STEPS:
        lines.append(_line(f"... and {len(steps) - MOST_STEPS} more: --json has them all", "weak"))
    return lines


def _failures(failing: Sequence[FailingCall], width: int | None) -> list[Line]:
    columns = (
        named_column("most failing calls", (each.host for each in failing)),
        FittedColumn("call", left=True, least=8),
        FittedColumn("errno", left=True, least=8),
        FittedColumn("times"),
    )
    rows = [
        (
            program_of(each.job, each.program, each.host),
            scrub(each.syscall, 32),
            scrub(each.errno, 32),
            format_count(each.errors),
        )
        for each in failing
    ]
    return grid(columns, rows, width, lead="").lines()


def _slowest(slow: Sequence[CallLatency], width: int | None) -> list[Line]:
    columns = (
        named_column("slowest calls", (each.host for each in slow)),
        FittedColumn("call", left=True, least=8),
        FittedColumn("max"),
        FittedColumn("p99", goes=1),
        FittedColumn("calls", goes=2),
    )
    rows = [
        (
            program_of(each.job, each.program, each.host),
            scrub(each.syscall, 32),
            format_ns(each.max_ns),
            format_ns(each.p99_ns),
            format_count(each.calls),
        )
        for each in slow
    ]
    return grid(columns, rows, width, lead="").lines()


def risen_lines(risen: Sequence[CallLatency], width: int | None) -> list[Line]:
    """The calls whose 99th percentile rose, the one that rose most first."""
    if not risen:
        return [_line("no call of any program has a higher p99 than in the time before", "weak")]
    columns = (
        named_column("p99 rose", (each.host for each in risen)),
        FittedColumn("call", left=True, least=8),
        FittedColumn("before"),
        FittedColumn("p99"),
        FittedColumn("max", goes=1),
        FittedColumn("calls", goes=2),
    )
    rows = [
        (
            program_of(each.job, each.program, each.host),
            scrub(each.syscall, 32),
            format_ns(each.p99_before_ns),
            format_ns(each.p99_ns),
            format_ns(each.max_ns),
            format_count(each.calls),
        )
        for each in risen
    ]
    return grid(columns, rows, width, lead="").lines()


def _slow_calls(events: Sequence[KeptEvent]) -> list[Line]:
    """The slow calls that were told, those that took longest, in the order in which they were; each call once."""
    last = {(each.data.get("tid"), each.data.get("start_ns")): each for each in events if each.kind == SLOW_CALL}
    longest = sorted(last.values(), key=duration_ns)[-SHOWN:]
    return [event_line(each) for each in sorted(longest, key=lambda each: (each.time, each.id))]


def _section(lines: Sequence[Line]) -> list[Line]:
    return [_line(""), *lines] if lines else []
