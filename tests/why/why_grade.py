"""Compare an answer with the truth: right, unknown (no culprit, or one of several) or wrong."""

from __future__ import annotations

from why_stages import Stage

from straced.views.why_text import sentence
from straced.why.model import ONE_OF, Why


def grade(stage: Stage, why: Why) -> tuple[str, str]:
    """(``right``, ``unknown`` or ``wrong``; the sentence and what is amiss)."""
    text = sentence(why)
    roots = {root.task.tid for root in why.roots if root.relation and (why.deadlock or not root.cycle)}
    amiss = [f"it does not say {words!r}" for words in stage.says if words not in text]
    if why.verdict != stage.verdict:
        amiss.append(f"verdict {why.verdict}, not {stage.verdict}")
    if why.deadlock != stage.deadlock:
        amiss.append(f"deadlock {why.deadlock}")
    culprits = stage.culprit if isinstance(stage.culprit, tuple) else (stage.culprit,)
    expected = {culprit for culprit in culprits if culprit is not None}
    if roots != expected and not stage.deadlock:
        named = {root.task.tid for root in why.roots if root.relation not in (None, ONE_OF) and not root.cycle}
        if named - expected:
            return "wrong", f"{text} [names {sorted(roots)}, truth {sorted(expected)}]"
        if not roots or expected <= roots:
            return "unknown", f"{text} [{', '.join(amiss)}]"
        return "wrong", f"{text} [names {sorted(roots)}, truth {sorted(expected)}]"
    if any(str(culprit) not in text for culprit in expected):
        amiss.append("the culprit is not in the sentence")
    return ("wrong", f"{text} [{'; '.join(amiss)}]") if amiss else ("right", text)
