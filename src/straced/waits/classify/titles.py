"""What a server says of its own wait in its title (the argv that ps shows)."""

from __future__ import annotations

import re

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.text.sanitize import scrub
from straced.waits.facts.memory import memory_is_safe
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot

_BACKEND = re.compile(r"^postgres: .* (?:\[local\]|[^\s()]+\(\d+\)) (.+)$")
"""``postgres: [CLUSTER: ]USER DATABASE HOST ACTIVITY``, of the PostgreSQL manual, "Standard Unix Tools"."""
_LONGEST = 60


def is_postgres(raw: RawTask) -> bool:
    """Whether a task is one of PostgreSQL's processes, by its name."""
    return raw.stat.comm == "postgres"


def title_of(look: ProcSnapshot, raw: RawTask) -> str:
    """The activity, ``UPDATE waiting``; ``""`` where there is none or it may not be read."""
    if not is_postgres(raw) or not memory_is_safe(look.proc, raw.pid):
        return ""
    try:
        words = procfs.cmdline(raw.pid, look.proc.root)
    except (Gone, OSError):
        return ""
    match = _BACKEND.match(words[0].strip()) if words else None
    return scrub(match[1])[:_LONGEST] if match else ""


def says_waiting(title: str) -> bool:
    """Whether a title tells of a lock that is waited for: PostgreSQL appends the word while it does."""
    return title.endswith(" waiting")


def says_working(title: str) -> bool:
    """Whether a title has the tag of a command, ``SELECT``: of what rests it says ``idle``, of a service its state."""
    return title.split(" ", 1)[0].isupper()
