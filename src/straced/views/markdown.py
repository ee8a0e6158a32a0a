"""A run as Markdown, for the page of a CI job: what became of its budget, and the calls that were made most often."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from straced.model.aggregation import sort_rows
from straced.model.budgets import BudgetVerdict
from straced.model.types import Summary
from straced.text.sanitize import scrub
from straced.text.units import count_of, format_count, format_ns
from straced.views.text.budget import headline
from straced.views.text.summary import fate, quality_line

MOST_ROWS = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def escaped(text: str, limit: int = 200) -> str:
    """Foreign text that Markdown takes for nothing but text."""
    return _SPECIAL.sub(r"\\\1", scrub(text, limit))


def markdown(title: str, summary: Summary | None, limits: Mapping[str, int], verdict: BudgetVerdict) -> str:
    """Write a section of a page.

    Args:
        title: of the command, as it was typed.
        summary: what it did; ``None`` where it could not be traced.
        limits: by key; none of them where only the calls are of interest.
        verdict: what became of them.
    """
    parts = [f"### straced: {escaped(title)}"]
    if limits:
        parts.append(f"**{escaped(headline(len(limits), verdict), 400)}**")
        broken = {each.key for each in verdict.breaches}
        sure = "" if not verdict.doubt else "not verified"
        rows = [
            (
                escaped(key),
                format_count(limit),
                format_count(verdict.counts.made(key)),
                "broken" if key in broken else sure,
            )
            for key, limit in limits.items()
        ]
        parts.append(_table(("limit", "allowed", "made", ""), rows))
    if summary is not None:
        parts.append(f"{escaped(fate(summary))} · {count_of(summary.total.calls, 'call')}")
        most = sort_rows(summary.rows, "calls", summary.time)[:MOST_ROWS]
        cells = [
            (escaped(row.name), format_count(row.calls), format_count(row.errors), format_ns(row.wall_ns))
            for row in most
        ]
        parts.append(_table(("call", "calls", "errors", "time"), cells))
        parts.append(escaped(quality_line(summary), 400))
    return "\n\n".join(parts) + "\n\n"


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = [f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1)]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])
