"""What each process or thread of a target did: a line each, and its busiest calls."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.split import SplitPart
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns
from straced.views.text.spans import Line, Span

BUSIEST = 3
NAME_MOST = 32


def split_lines(
    parts: Sequence[SplitPart], by: str, *, limit: int | None = None, width: int | None = None
) -> list[Line]:
    """A table of the parts, those that made most calls first.

    Args:
        parts: sorted.
        by: ``process`` or ``thread``; the title.
        limit: lines to show; ``None`` for all.
        width: columns there are: the busiest calls are cut to them.
    """
    shown = parts if limit is None else parts[:limit]
    names = [scrub(part.name, NAME_MOST) for part in shown]
    first = max(map(len, (*names, by)), default=len(by))
    head = f" {by:<{first}}  {'calls':>11}  {'errors':>8}  {'total':>7}  {'waiting':>7}  {'max':>7}  busiest calls"
    lines: list[Line] = [(Span(head, "title"),)]
    most = max((part.wall_ns or 0 for part in shown), default=0)
    for name, part in zip(names, shown, strict=True):
        room = None if width is None else max(0, width - len(head) + len("busiest calls"))
        lines.append(
            (
                Span(f" {name:<{first}}"),
                Span(f"  {format_count(part.calls):>11}"),
                Span(f"  {format_count(part.errors):>8}", "error" if part.errors else "weak"),
                Span(f"  {format_ns(part.wall_ns):>7}", "strong" if part.wall_ns and part.wall_ns == most else ""),
                Span(f"  {format_ns(part.waiting_ns):>7}", "" if part.waiting_ns else "weak"),
                Span(f"  {format_ns(part.max_ns):>7}", "" if part.max_ns else "weak"),
                Span("  " + _busiest(part, room), "weak"),
            )
        )
    if len(parts) > len(shown):
        lines.append((Span(f" ({format_count(len(parts) - len(shown))} more: --all)", "weak"),))
    return lines


def _busiest(part: SplitPart, room: int | None) -> str:
    """The names of as many calls as there is room for."""
    words = ""
    for name, count in part.busiest[:BUSIEST]:
        more = f"{', ' if words else ''}{scrub(name, 20)} {format_count(count)}"
        if room is not None and len(words) + len(more) > room:
            break
        words += more
    return words
