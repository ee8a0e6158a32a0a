"""Compare an answer with the truth: right, unknown (no culprit, or one of several) or wrong."""

from __future__ import annotations

from why_stages import Stage

from straced.views.why.report import sentence
from straced.waits.classify.kinds import UNRESOLVED
from straced.waits.model import ONE_OF, Why


def grade(stage: Stage, why: Why, *, may_say_less: bool = False) -> tuple[str, str]:
    """(``right``, ``unknown`` or ``wrong``; the sentence and what is amiss).

    ``may_say_less`` is for those without the rights to see all: words may then be missing, and the chain may end early.
    """
    text = sentence(why)
    roots = {root.task.tid for root in why.roots if root.relation and (why.deadlock or not root.cycle)}
    amiss = [f"it does not say {words!r}" for words in stage.says if words not in text]
    if why.verdict != stage.verdict:
        amiss.append(f"verdict {why.verdict}, not {stage.verdict}")
    if why.deadlock != stage.deadlock:
        amiss.append(f"deadlock {why.deadlock}")
    culprits = stage.culprit if isinstance(stage.culprit, tuple) else (stage.culprit,)
    expected = {culprit for culprit in culprits if culprit is not None}
    unfinished = {root.task.tid for root in why.roots if root.task.wait.kind in UNRESOLVED}
    if may_say_less:
        roots -= unfinished
        claims_too_much = (why.deadlock and not stage.deadlock) or why.verdict not in (stage.verdict, "unknown")
        named = {root.task.tid for root in why.roots if root.relation != ONE_OF} & roots
        if not claims_too_much and not named <= expected | ({stage.target} if stage.deadlock else set()):
            claims_too_much = True
        word = "wrong" if claims_too_much else "unknown" if amiss or roots != expected else "right"
        return word, f"{text} [{'; '.join(amiss)}; names {sorted(roots)}, truth {sorted(expected)}]"
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
