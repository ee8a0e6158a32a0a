"""A budget of system calls as text: what was allowed, what was made, and by how much it was broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from straced.model.budgets import Breach, BudgetVerdict
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_count
from straced.views.text.summary import Line, Span


def headline(limits: int, verdict: BudgetVerdict) -> str:
    """What became of it, in a line."""
    if verdict.breaches:
        return f"system call budget broken: {len(verdict.breaches)} of {_limits(limits)}"
    if verdict.doubt:
        return f"system call budget not verified: {scrub(verdict.doubt, 300)}"
    return f"system call budget kept: {_limits(limits)}"


def _limits(count: int) -> str:
    return count_of(count, "limit")


def table(breaches: Sequence[Breach]) -> list[str]:
    """The limits that were broken, the worst first."""
    ranked = sorted(breaches, key=lambda each: (-each.over, each.key))
    cells: list[tuple[str, ...]] = [("call", "limit", "made", "over")]
    cells += [(scrub(each.key, 40), *map(format_count, (each.limit, each.made)), f"+{each.over:,}") for each in ranked]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return [
        f" {row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in cells
    ]


def lines(limits: Mapping[str, int], verdict: BudgetVerdict) -> list[Line]:
    """What ``straced run --max`` says on stderr."""
    style = "bad" if verdict.breaches or verdict.doubt else "strong"
    found: list[Line] = [(Span(f"straced: {headline(len(limits), verdict)}", style),)]
    if verdict.breaches:
        first, *rest = table(verdict.breaches)
        found += [(Span(first, "title"),), *((Span(row),) for row in rest)]
    return found
