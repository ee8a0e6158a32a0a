"""What happened in a span, as text of at most 80 columns."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Sequence

from straced.model.event_folding import folded
from straced.model.history import KeptEvent
from straced.model.moment import CallLatency, FailingCall, Moment, MomentStep
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.history import alert_text, clock, event_text, fold_text, program_of, room_of, uses_lines
from straced.views.text.summary import Line, Span

SLOW_CALL = "slow_call"
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
        lines += [_line(""), *_steps(moment.steps)]
    for rows, shown in (
        (moment.programs, uses_lines(moment.programs[:SHOWN])),
        (moment.failing, _failures(moment.failing[:SHOWN])),
        (moment.slow, _slowest(moment.slow[:SHOWN])),
    ):
        lines += [_line(""), *shown] if rows else []
    lines += _section([alert_text(alert) for alert in moment.alerts[-SHOWN:]], width, "bad")
    lines += _section(_slow_calls(moment.events), width)
    others = [each for each in moment.events if each.kind != SLOW_CALL]
    lines += _section([fold_text(each) for each in folded(others)[-SHOWN:]], width)
    return [_cut(line, width) for line in lines]


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
        yield f"the service was not running for {format_ns(int(moment.gaps_s * 1e9))} of it"
    if moment.lost is None or moment.lost:
        yield f"lossy: {format_count(moment.lost)} calls could not be counted"
    if moment.uncounted:
        many = "process" if moment.uncounted == 1 else "processes"
        yield f"the calls of {moment.uncounted} {many} were not counted, and are in no sum"


def _steps(steps: Sequence[MomentStep]) -> list[Line]:
    head = f"{'from':<16} {'calls':>13} {'errors':>10} {'p50':>8} {'p99':>8} {'max':>8} {'CPU':>8}"
    lines = [_line(head, "title")]
    for step in steps[:MOST_STEPS]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(step.time))
        lines.append(
            _line(
                f"{when:<16} {format_count(step.calls):>13} {format_count(step.errors):>10} {format_ns(step.p50_ns):>8}"
                f" {format_ns(step.p99_ns):>8} {format_ns(step.max_ns):>8} {format_ns(step.cpu_ns):>8}"
            )
        )
    if len(steps) > MOST_STEPS:
        lines.append(_line(f"... and {len(steps) - MOST_STEPS} more: --json has them all", "weak"))
    return lines


def _failures(failing: Sequence[FailingCall]) -> list[Line]:
    room = room_of(failing)
    lines = [_line(f"{'most failing calls':<{room}} {'call':<18} {'errno':<16} {'times':>12}", "title")]
    for each in failing:
        name = program_of(each.job, each.program, room, each.host)
        call = f"{scrub(each.syscall, 18):<18} {scrub(each.errno, 16):<16}"
        lines.append(_line(f"{name:<{room}} {call} {format_count(each.errors):>12}"))
    return lines


def _slowest(slow: Sequence[CallLatency]) -> list[Line]:
    room = room_of(slow)
    lines = [_line(f"{'slowest calls':<{room}} {'call':<18} {'max':>8} {'p99':>8} {'calls':>12}", "title")]
    for each in slow:
        name = program_of(each.job, each.program, room, each.host)
        times = f"{format_ns(each.max_ns):>8} {format_ns(each.p99_ns):>8} {format_count(each.calls):>12}"
        lines.append(_line(f"{name:<{room}} {scrub(each.syscall, 18):<18} {times}"))
    return lines


def risen_lines(risen: Sequence[CallLatency], width: int | None) -> list[Line]:
    """The calls whose 99th percentile rose, the one that rose most first."""
    if not risen:
        return [_line("no call of any program has a higher p99 than in the time before", "weak")]
    room = room_of(risen)
    head = f"{'p99 rose':<{room}} {'call':<{42 - room}} {'before':>8} {'p99':>8} {'max':>8} {'calls':>9}"
    lines = [_line(head, "title")]
    for each in risen:
        name = program_of(each.job, each.program, room, each.host)
        times = f"{format_ns(each.p99_before_ns):>8} {format_ns(each.p99_ns):>8} {format_ns(each.max_ns):>8}"
        call = scrub(each.syscall, 42 - room)
        lines.append(_line(f"{name:<{room}} {call:<{42 - room}} {times} {format_count(each.calls):>9}"))
    return [_cut(line, width) for line in lines]


def _slow_calls(events: Sequence[KeptEvent]) -> list[str]:
    """The slow calls that were told, those that took longest, in the order in which they were; each call once."""
    last = {(each.data.get("tid"), each.data.get("start_ns")): each for each in events if each.kind == SLOW_CALL}
    longest = sorted(last.values(), key=_duration_ns)[-SHOWN:]
    return [event_text(each) for each in sorted(longest, key=lambda each: (each.time, each.id))]


def _duration_ns(event: KeptEvent) -> int:
    found = event.data.get("duration_ns")
    return found if isinstance(found, int) else 0


def _section(words: Sequence[str], width: int | None, style: str = "") -> list[Line]:
    """Sentences: on more than one line where there is no room, since their end says whom it waits for."""
    lines = [
        _line(part, style)
        for word in words
        for part in ([word] if width is None else textwrap.wrap(word, max(width, 20), subsequent_indent="    "))
    ]
    return [_line(""), *lines] if lines else []


def _cut(line: Line, width: int | None) -> Line:
    (span,) = line
    return line if width is None else (Span(span.text[:width], span.style),)
