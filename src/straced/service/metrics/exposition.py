"""The text of OpenMetrics: families, lines and labels."""

from __future__ import annotations

from straced.model.tick import ProcessSample
from straced.store.series import program_of

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OTHER = "other"
Group = tuple[str, str]
"""Job and program."""
OTHERS: Group = (OTHER, OTHER)
Labels = tuple[tuple[str, str], ...]
Line = tuple[str, Labels, float]
"""The suffix of the name, the labels, the value."""
Family = tuple[str, str, str, list[Line]]
"""Name, kind, meaning, lines."""


def group_of(sample: ProcessSample) -> Group:
    """Job and program of a process."""
    return sample.facts.labels.get("job", ""), program_of(sample.facts)


def labels_of(group: Group) -> Labels:
    """The same as labels."""
    return ("job", group[0]), ("program", group[1])


def family_text(name: str, kind: str, words: str, lines: list[Line]) -> str:
    """A family as text, its meaning included."""
    head = f"# TYPE {name} {kind}\n# HELP {name} {words}\n"
    return head + "".join(f"{name}{suffix}{_braces(labels)} {_number(value)}\n" for suffix, labels, value in lines)


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
