"""A difference as text: reads as well in a CI log as on a screen."""

from __future__ import annotations

from collections.abc import Sequence

from straced.text.units import format_count, format_ns
from straced.traces.diff.values import Change, Check, Difference, Metric
from straced.views.text.columns import FittedColumn, grid
from straced.views.text.report import shorten
from straced.views.text.spans import Line, Span, fitted

NAME_WIDTH, LEAST_NAME_WIDTH = 65, 16
COLUMNS = (
    FittedColumn("what", left=True, least=LEAST_NAME_WIDTH, keeps="both"),
    FittedColumn("calls"),
    FittedColumn("change"),
    FittedColumn("errors", goes=1),
    FittedColumn("time", goes=3),
    FittedColumn("waiting", goes=2),
    FittedColumn("p", goes=4),
)
_KIND = {"syscall": "", "errno": "", "path": "path "}


def render(
    difference: Difference, checks: Sequence[Check] = (), *, limit: int | None = 20, width: int | None = None
) -> tuple[Line, ...]:
    """Head, the changes that matter most, what the checks found; ``width`` is that of a terminal."""
    total = difference.total
    totals = f"calls {_both(total.calls)} · errors {_both(total.errors)} · time {_both(total.wall_ns, timed=True)}"
    if total.waiting_ns.before is not None:
        totals += f" · waiting {_both(total.waiting_ns, timed=True)}"
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
    lines.append((Span(_same(difference.same), "weak"),))
    return tuple(fitted((*lines, *_checks(checks)), width))


def _same(number: int) -> str:
    return (
        "1 call, errno or path is the same."
        if number == 1
        else (f"{format_count(number)} calls, errnos and paths are the same.")
    )


def _side(names: Sequence[str]) -> str:
    return shorten(names[0], 40) if len(names) == 1 else f"{len(names)} runs ({shorten(names[0], 30)}, ...)"


def _both(metric: Metric, *, timed: bool = False) -> str:
    if metric.before is None or metric.after is None:
        return "-"
    show = (lambda value: format_ns(round(value))) if timed else _count
    change = f" ({_pct(metric.pct)})" if metric.pct else ""
    return f"{show(metric.before)} -> {show(metric.after)}{change}"


def _count(value: float) -> str:
    return format_count(round(value)) if value == round(value) else f"{value:,.1f}"


def _table(changes: Sequence[Change], width: int | None) -> list[Line]:
    pairs = zip(*(_pairs([_figures(change)[at] for change in changes]) for at in range(4)), strict=True)
    rows = [
        (f"{_KIND[change.kind]}{shorten(change.name, NAME_WIDTH)}", calls, _delta(change), errors, *took, _p(change))
        for change, (calls, errors, *took) in zip(changes, pairs, strict=True)
    ]
    shown = [at for at in range(len(COLUMNS)) if any(row[at].strip() for row in rows)]
    laid = grid([COLUMNS[at] for at in shown], [[row[at] for at in shown] for row in rows], width)
    return laid.lines(["strong" if change.note == "new" else "" for change in changes])


def _pairs(told: Sequence[tuple[str, str]]) -> list[str]:
    """``before -> after`` of each row, the arrows below each other; nothing where a row has nothing."""
    before, after = (max((len(each[side]) for each in told), default=0) for side in (0, 1))
    return [f"{first:>{before}} -> {last:>{after}}" if first or last else "" for first, last in told]


def _pct(value: float) -> str:
    if -100 < value < -99.9:
        return "-99.9 %"  # something is left
    return f"{value:+.1f} %" if abs(value) < 100 else f"{value:+,.0f} %"


def _figures(change: Change) -> tuple[tuple[str, str], ...]:
    """Calls, errors, time and waiting, before and after."""
    calls, errors = change.calls, change.errors
    made = ("-" if calls.before is None else _count(calls.before), "-" if calls.after is None else _count(calls.after))
    failed = ("", "")
    if change.kind != "errno" and errors.delta:
        failed = _count(errors.before or 0), _count(errors.after or 0)
    times = [("", "") if change.kind == "errno" else _times(each) for each in (change.wall_ns, change.waiting_ns)]
    return made, failed, *times


def _times(metric: Metric) -> tuple[str, str]:
    if metric.before is None or metric.after is None:
        return "", ""
    return format_ns(round(metric.before)), format_ns(round(metric.after))


def _delta(change: Change) -> str:
    calls = change.calls
    return change.note or (_pct(calls.pct) if calls.pct else "=" if calls.delta == 0 else "")


def _p(change: Change) -> str:
    p = change.calls.p if change.calls.delta else change.wall_ns.p
    return "" if p is None else f"{p:.2f}"


def _checks(checks: Sequence[Check]) -> tuple[Line, ...]:
    if not checks:
        return ()
    room = max(len(each.rule) for each in checks)
    lines: list[Line] = [(), (Span("Checks", "title"),)]
    for each in checks:
        word = Span("FAILED", "bad") if each.failed else Span("ok    ", "")
        lines.append((Span(" "), word, Span(f"  {each.rule:<{room}}  {each.found}")))
    return tuple(lines)
