"""A difference as text: reads as well in a CI log as on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from straced.text.units import format_count, format_ns
from straced.traces.diff.values import Change, Check, Difference, Metric
from straced.views.text.report import shorten
from straced.views.text.summary import Line, Span

NAME_WIDTH, LEAST_NAME_WIDTH = 65, 16
_KIND = {"syscall": "", "errno": "", "path": "path "}


def render(
    difference: Difference, checks: Sequence[Check] = (), *, limit: int | None = 20, width: int | None = None
) -> tuple[Line, ...]:
    """Head, the changes that matter most, what the checks found; ``width`` is that of a terminal."""
    total = difference.total
    totals = f"calls {_both(total.calls)} · errors {_both(total.errors)} · time {_both(total.wall_ns, timed=True)}"
    lines: list[Line] = [
        (Span(f"{_side(difference.before)} -> {_side(difference.after)}", "strong"),),
        (Span(totals),),
        (),
    ]
    shown = difference.changes if limit is None else difference.changes[:limit]
    if shown:
        lines += _table(shown, width)
    else:
        lines.append((Span(" no difference in what was called", "weak"),))
    hidden = len(difference.changes) - len(shown)
    if hidden > 0:
        lines.append((Span(f" ({format_count(hidden)} more: --all)", "weak"),))
    lines.append(())
    lines += [(Span(f"Note: {note}.", "weak"),) for note in difference.notes]
    lines.append((Span(f"{format_count(difference.same)} calls, errnos and paths are the same.", "weak"),))
    return (*lines, *_checks(checks))


def _side(names: Sequence[str]) -> str:
    return shorten(names[0], 40) if len(names) == 1 else f"{len(names)} runs ({shorten(names[0], 30)}, ...)"


def _both(metric: Metric, *, timed: bool = False) -> str:
    if metric.before is None or metric.after is None:
        return "-"
    show = (lambda value: format_ns(round(value))) if timed else _count
    change = f" ({metric.pct:+.1f} %)" if metric.pct else ""
    return f"{show(metric.before)} -> {show(metric.after)}{change}"


def _count(value: float) -> str:
    return format_count(round(value)) if value == round(value) else f"{value:,.1f}"


def _table(changes: Sequence[Change], width: int | None) -> list[Line]:
    cells = [_cells(change) for change in changes]
    titles = ("calls before", "after", "change", "errors", "time before", "after", "p")
    widths = [max(len(titles[place]), *(len(row[place]) for row in cells)) for place in range(len(titles))]
    keep = [place for place in range(len(titles)) if any(row[place] for row in cells)]
    room = NAME_WIDTH if width is None else width - 1 - sum(widths[place] + 2 for place in keep)
    room = min(max(room, LEAST_NAME_WIDTH), NAME_WIDTH)
    names = [f"{_KIND[change.kind]}{shorten(change.name, room - len(_KIND[change.kind]))}" for change in changes]
    first = max(map(len, names))
    lines: list[Line] = [(Span(f" {'what':<{first}}" + "".join(f"  {titles[i]:>{widths[i]}}" for i in keep), "title"),)]
    for name, row, change in zip(names, cells, changes, strict=True):
        text = f" {name:<{first}}" + "".join(f"  {row[i]:>{widths[i]}}" for i in keep)
        lines.append((Span(text, "strong" if change.note == "new" else ""),))
    return lines


def _pct(value: float) -> str:
    return f"{value:+.1f} %" if abs(value) < 100 else f"{value:+,.0f} %"


def _cells(change: Change) -> tuple[str, ...]:
    calls, errors, wall = change.calls, change.errors, change.wall_ns
    delta = change.note or (_pct(calls.pct) if calls.pct else "=" if calls.delta == 0 else "")
    failed = ""
    if change.kind != "errno" and errors.delta:
        failed = f"{_count(errors.before or 0)} -> {_count(errors.after or 0)}"
    times = ("", "")
    if change.kind != "errno" and wall.before is not None and wall.after is not None:
        times = format_ns(round(wall.before)), format_ns(round(wall.after))
    p = calls.p if calls.delta else wall.p
    return (
        "-" if calls.before is None else _count(calls.before),
        "-" if calls.after is None else _count(calls.after),
        delta,
        failed,
        *times,
        "" if p is None else f"{p:.2f}",
    )


def _checks(checks: Sequence[Check]) -> tuple[Line, ...]:
    if not checks:
        return ()
    room = max(len(each.rule) for each in checks)
    lines: list[Line] = [(), (Span("Checks", "title"),)]
    for each in checks:
        word = Span("FAILED", "bad") if each.failed else Span("ok    ", "")
        lines.append((Span(" "), word, Span(f"  {each.rule:<{room}}  {each.found}")))
    return tuple(lines)
