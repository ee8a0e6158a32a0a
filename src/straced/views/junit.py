"""A budget as JUnit XML, which the job pages of CI services read: one test a limit."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from straced.model.budgets import BudgetVerdict
from straced.text.sanitize import scrub


def junit(title: str, limits: Mapping[str, int], verdict: BudgetVerdict, duration_s: float) -> str:
    """Write one test suite.

    Args:
        title: of the command, as it was typed.
        limits: by key.
        verdict: what became of them. A limit that looks kept, and may be broken, is an error rather than a failure.
        duration_s: how long the command took.
    """
    broken = {each.key: each for each in verdict.breaches}
    errors = len(limits) - len(broken) if verdict.doubt else 0
    cases = []
    for key, limit in limits.items():
        name = quoteattr(f"{key} <= {limit}")
        outcome = ""
        if key in broken:
            text = f"{key}: {broken[key].made} made, {limit} allowed, {broken[key].over} over"
            outcome = f"<failure message={quoteattr(text)}/>"
        elif verdict.doubt:
            outcome = f"<error message={quoteattr(scrub(f'not verified: {verdict.doubt}', 400))}/>"
        cases.append(f'    <testcase classname="straced" name={name} time="0">{outcome}</testcase>')
    attributes = (
        f'name={quoteattr(f"straced: {scrub(title, 200)}")} tests="{len(limits)}" failures="{len(broken)}" '
        f'errors="{errors}" skipped="0" time="{duration_s:.3f}"'
    )
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return "\n".join(
        [head, "<testsuites>", f"  <testsuite {attributes}>", *cases, "  </testsuite>", "</testsuites>", ""]
    )
