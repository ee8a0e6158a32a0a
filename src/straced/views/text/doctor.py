"""A diagnosis for a person: what serves, what does not, and the line that cures it."""

from __future__ import annotations

from straced.model.diagnosis import Diagnosis, DoctorCheck
from straced.text.sanitize import scrub
from straced.text.tracer_names import tracer_name
from straced.views.text.spans import Line, Span, wrapped

MARKS = {"yes": "yes", "limited": "partly", "no": "no", "info": "-"}
ARROW = "-> "
"""Before what is to be typed."""
STYLES = {"yes": "strong", "limited": "strong", "no": "bad", "info": "weak"}


def lines(diagnosis: Diagnosis, width: int | None = None) -> tuple[Line, ...]:
    """The whole diagnosis, for a screen of some width; ``None``: nothing is wrapped."""
    system = f"straced {diagnosis.version} · Linux {diagnosis.kernel} {diagnosis.machine} · Python {diagnosis.python}"
    shown: list[Line] = [(Span(f"{scrub(system)} · uid {diagnosis.uid}", "strong"),)]
    if diagnosis.target is not None:
        shown += [(), (Span(scrub(diagnosis.target), "strong"),)]
    on_what = "Tracers for this target" if diagnosis.target is not None else "Tracers"
    shown += _section(on_what, diagnosis.tracers)
    shown += _section("About the target", diagnosis.about_target)
    shown += _section("Requirements", diagnosis.here)
    shown += [(), (Span("Invisible to every tracer", "title"),)]
    shown += [(Span(f" {sentence}", "weak"),) for sentence in diagnosis.unseen]
    return tuple(part for line in shown for part in ([line] if _is_to_copy(line) else wrapped(line, width)))


def _is_to_copy(line: Line) -> bool:
    """Whether it is a command: the terminal itself breaks it so that it is one line where it is copied to."""
    return bool(line) and line[0].text.lstrip(" ").startswith(f"{ARROW}sudo ")


def _section(title: str, findings: tuple[DoctorCheck, ...]) -> list[Line]:
    if not findings:
        return []
    width = max(len(tracer_name(each.name)) for each in findings)
    shown: list[Line] = [(), (Span(title, "title"),)]
    for each in findings:
        mark = Span(f" {MARKS[each.state]:<6}  ", STYLES[each.state])
        shown.append((mark, Span(f"{tracer_name(each.name):<{width}}  {scrub(each.detail, 300)}")))
        shown += [(Span(f"{'':<9}{'':<{width}}  {ARROW}{scrub(line, 300)}"),) for line in each.remedy]
    return shown
