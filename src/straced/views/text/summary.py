"""The first screen: what a summary says to a person. Pure functions, from a summary to lines.

A line is a tuple of spans; :func:`plain` makes text of lines, :mod:`straced.views.text.terminal` colours them.
What is not known is ``-``. Text of other people's processes is never markup, and carries no control characters.
"""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Sequence

from straced.model.aggregation import sort_rows, time_ns
from straced.model.types import Overhead, Quality, Summary
from straced.text.sanitize import scrub
from straced.text.tracer_names import tracer_name
from straced.text.units import count_of, format_count, format_ns
from straced.views.text import table
from straced.views.text.files import file_lines
from straced.views.text.slow import slow_lines
from straced.views.text.spans import Line as Line
from straced.views.text.spans import Span as Span
from straced.views.text.spans import fitted
from straced.views.text.spans import plain as plain
from straced.views.text.uring import uring_lines

TITLES = {
    "time": "total time",
    "working": "working time",
    "waiting": "waiting time",
    "calls": "calls",
    "errors": "errors",
    "max": "longest call",
}
ENDINGS = {
    "detached": "still running",
    "overhead": "detached: overhead limit exceeded",
    "tasks": "detached: too many tasks",
    "limit": "detached: limit reached",
    "lost": "end not seen",
    "taken_over": "handed to another tracer",
}
MAX_IN_FLIGHT = 4
PROSE_WIDTH = 100
KEPT_SMALL = ("strace", "eBPF")
"""Names that begin a sentence as they are written."""


def first_screen(
    summary: Summary,
    *,
    title: str | None = None,
    sort: str = "time",
    limit: int | None = 20,
    width: int | None = None,
    standing: Sequence[str] = (),
) -> tuple[Line, ...]:
    """The lines of a summary: head, table, totals, what to know about the figures, how far they hold.

    Args:
        summary: what to show.
        title: what it is about; pid and comm of the target unless given (a command line, for ``run``).
        sort: one of :data:`straced.model.aggregation.SORT_KEYS`.
        limit: rows to show; ``None`` for all.
        width: columns there are; where they are few, the columns of the table that matter least are left out.
        standing: in place of a table without rows: what the target is in meanwhile.
    """
    rows = sort_rows(summary.rows, sort, summary.time)
    lines: list[Line] = [head(summary, title), ()]
    if counted(summary):
        shown = rows if limit is None else rows[:limit]
        wide = width is not None or sort == "max"
        lines += table.render(shown, len(rows) - len(shown), summary, width, wide=wide)
    else:
        lines += [(Span(f" {text}", "strong"),) for text in standing] or [(Span(" no system calls seen", "weak"),)]
    lines.append(())
    for text in explanations(summary, sort):
        lines += [(Span(part, "weak"),) for part in textwrap.wrap(text, min(width or PROSE_WIDTH, PROSE_WIDTH))]
    lines.append((Span(quality_line(summary), "bad" if summary.quality.kind == "lossy" else "strong"),))
    if summary.io_uring is not None:
        lines += [(), *uring_lines(summary.io_uring, limit, width)]
    if summary.files is not None:
        lines += [(), *file_lines(summary.files, limit, width, sort)]
    if summary.slow is not None:
        lines += [(), *slow_lines(summary.slow, limit, width)]
    return tuple(fitted(lines, width))


def counted(summary: Summary) -> bool:
    """Whether there is anything to count: a row of a call that was only waited in says nothing."""
    return any(row.calls != 0 or row.errors or row.wall_ns for row in summary.rows)


def head(summary: Summary, title: str | None = None) -> Line:
    """``make test: exit 0 · 12.4 s · 48 processes, 61 threads · 1,204,331 calls, 3.1 % failed``"""
    target = summary.target
    name = scrub(title, 60) if title else f"{target.pid} ({scrub(target.comm, 40)})"
    parts = [fate(summary), _seconds(summary.window.duration_ns)]
    population = [_plural(summary.processes, "process", "processes"), _plural(summary.threads, "thread", "threads")]
    parts.append(", ".join(filter(None, population)))
    parts.append(f"{count_of(summary.total.calls, 'call')}{_failed(summary)}")
    style = "bad" if summary.exit_status else "strong"
    return Span(f"{name}: ", "strong"), Span(parts[0], style), Span(" · " + " · ".join(filter(None, parts[1:])))


def fate(summary: Summary) -> str:
    """What became of the target: ``exit 0``, ``killed by SIGKILL``, ``still running``, ..."""
    status = summary.exit_status
    if status is not None:
        return f"exit {status}" if status >= 0 else f"killed by {signal_name(-status)}"
    if summary.end is None:
        return "running"
    if summary.end.startswith("killed(") and summary.end[7:-1].isdecimal():
        return f"killed by {signal_name(int(summary.end[7:-1]))}"
    if summary.end.startswith("tracer_crashed"):
        return "the tracer died"
    return ENDINGS.get(summary.end, scrub(summary.end, 60))


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 40`` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _seconds(duration_ns: int | None) -> str:
    if duration_ns is None:
        return "-"
    return f"{duration_ns / 1e9:.1f} s" if duration_ns >= 10**9 else format_ns(duration_ns)


def _plural(count: int | None, one: str, many: str) -> str:
    return "" if count is None else count_of(count, one, many)


def _failed(summary: Summary) -> str:
    calls, errors = summary.total.calls, summary.total.errors
    if calls is None or errors is None or calls == 0:
        return ""
    share = 100 * errors / calls
    return f", {'< 0.1' if 0 < share < 0.05 else f'{share:.1f}'} % failed"


def explanations(summary: Summary, sort: str = "time") -> list[str]:
    """What one must know to read the figures right, a sentence a line."""
    lines = []
    many = f"{_plural(summary.threads, 'thread', 'threads')}, so they" if (summary.threads or 0) > 1 else ""
    summed = time_ns(summary.total, summary.time)
    window_ns = summary.window.duration_ns
    over = many and summed is not None and window_ns is not None and summed > window_ns
    kind = "Times are CPU time in the kernel, without waiting. " if summary.time == "cpu" else ""
    adding = f"Times add up over {many} can exceed {_seconds(summary.window.duration_ns)}. " if over else ""
    split = any(row.working_ns is not None for row in summary.rows) and summary.time == "wall"
    others = [each for each in ("time", "working", "calls", "errors") if each != sort and (split or each != "working")]
    if counted(summary):
        lines.append(f"{kind}{adding}Sorted by {TITLES.get(sort, 'name')}. Other orders: --sort {', '.join(others)}.")
    waiting = sorted((row for row in summary.rows if row.in_flight), key=lambda row: -(row.in_flight or 0))
    if waiting:
        names = [f"{scrub(row.name, 40)} {format_count(row.in_flight)}" for row in waiting[:MAX_IN_FLIGHT]]
        more = ", ..." if len(waiting) > MAX_IN_FLIGHT else ""
        lines.append(f"Not yet returned at the end: {', '.join(names)}{more}.")
    if len(summary.parts) > 1:
        tracers = ", ".join(tracer_name(part.tracer) for part in summary.parts)
        lines.append(f"Made by {len(summary.parts)} tracers in turn: {tracers}.")
    if summary.quality.reasons:
        lines.append(" ".join(sentence(reason.text) for reason in summary.quality.reasons))
    return lines


def sentence(text: str) -> str:
    """Foreign or internal words as a sentence: scrubbed, a capital first, a full stop last."""
    safe = scrub(text, 300).strip()
    first = safe[:1] if safe.startswith(KEPT_SMALL) else safe[:1].upper()
    return first + safe[1:] + ("" if safe.endswith((".", "!", "?")) else ".") if safe else ""


def quality_line(summary: Summary) -> str:
    """``exact · eBPF · 0 lost · target about 0.8 % slower``"""
    quality = summary.quality
    tracer = tracer_name(summary.tracer)
    if summary.tracer_reason:
        tracer += f" ({scrub(summary.tracer_reason, 120)})"
    parts = [quality.kind, tracer, *_coverage(quality)]
    parts.append("lost: unknown" if quality.lost is None else f"{format_count(quality.lost)} lost")
    parts.append(slowdown(quality.overhead))
    return " · ".join(parts)


def _coverage(quality: Quality) -> Sequence[str]:
    parts = []
    if (
        quality.tasks_traced is not None
        and quality.tasks_seen is not None
        and quality.tasks_traced < quality.tasks_seen
    ):
        parts.append(f"{format_count(quality.tasks_traced)} of {count_of(quality.tasks_seen, 'thread')}")
    if quality.gap_s:
        parts.append(f"nothing counted for {format_ns(int(quality.gap_s * 1e9))}")
    return parts


def slowdown(overhead: Overhead) -> str:
    """How much slower the target ran, in words."""
    if overhead.pct is None:
        return "slowdown unknown"
    if overhead.pct < 0.05:
        return "target not slowed" if overhead.basis == "none" else "target less than 0.1 % slower"
    if overhead.pct < 100:
        return (
            f"target about {overhead.pct:.1f} % slower"
            if overhead.pct < 10
            else f"target about {overhead.pct:.0f} % slower"
        )
    factor = 1 + overhead.pct / 100
    if overhead.basis == "at_least":
        return f"target at least {factor:,.0f}x slower"
    return f"target about {factor:.1f}x slower" if factor < 9.95 else f"target about {factor:,.0f}x slower"
