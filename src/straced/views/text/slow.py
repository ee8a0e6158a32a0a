"""Calls over a limit as text: how long, by whom, about what."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.slow import SlowCalls, SlowSyscall
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_count, format_ns
from straced.views.text.columns import FittedColumn, cut, grid
from straced.views.text.spans import Line, Span

MOST_ABOUT = 48
COLUMNS = (
    FittedColumn("took"),
    FittedColumn("waiting", goes=1),
    FittedColumn("thread", left=True, least=12),
    FittedColumn("file or peer", left=True, goes=2, least=16, keeps="end"),
    FittedColumn("call", left=True, least=24),
)


def slow_lines(slow: SlowCalls, limit: int | None = 20, width: int | None = None) -> list[Line]:
    """The lines of a table with its heading.

    Args:
        slow: what to show.
        limit: rows to show; ``None`` for all.
        width: columns there are; the call is cut to what is left of them.
    """
    lines: list[Line] = [(Span(heading(slow), "strong"),)]
    shown = slow.calls if limit is None else slow.calls[:limit]
    if not shown:
        return lines
    lines += grid(COLUMNS, [_cells(call) for call in shown], width).lines()
    if hidden := len(slow.calls) - len(shown):
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    return lines


def heading(slow: SlowCalls) -> str:
    """How many there were, and what is not among the rows."""
    inside = sum(call.inside for call in slow.calls)
    parts = [f"Calls of {format_ns(slow.limit_ns)} or more: {format_count(slow.seen)}"]
    if inside:
        parts.append(f"{format_count(inside)} inside at the end")
    missing = slow.untold + slow.lost
    if missing:
        parts.append(f"{format_count(missing)} too many at a time to be shown")
    if slow.waits:
        parts.append(
            f"{count_of(slow.waits, 'that waits by its nature', 'that wait by their nature')} left out (--waits)"
        )
    return "; ".join(parts) + "."


def _cells(call: SlowSyscall) -> Sequence[str]:
    about = cut(scrub(call.about), MOST_ABOUT, "end")
    text = scrub(call.call)
    if not call.inside:
        text += f" = {call.result}" if call.errno is None else f" = -1 {call.errno}"
    took = format_ns(call.duration_ns)
    return took, format_ns(call.waiting_ns), f"{call.tid} {scrub(call.comm, 15)}", about or "-", text
