"""The table of verbs: it reads like the help page, and is all that ``straced --help`` needs to know of them."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple


class Verb(NamedTuple):
    """A verb: its line in the help, and the module that serves it."""

    name: str
    line: str
    section: str
    own_status: int | None = None
    """Exit status of straced's own troubles, for a verb that otherwise has the status of a command it ran."""

    @property
    def module(self) -> str:
        return f"straced.commands.{self.name}"

    @property
    def exists(self) -> bool:
        """Whether this build has it. Nothing of the verb is imported."""
        return importlib.util.find_spec(self.module) is not None


LOOK, KEEP, SETUP = "Look", "Keep watch", "Set up"

VERBS = (
    Verb("run", "What does this command do? Counted from its first instruction.", LOOK, own_status=125),
    Verb("attach", "What is this process doing? A table of its system calls.", LOOK),
    Verb("why", "Why is this process stuck, and who holds it up?", LOOK),
    Verb("top", "Live view of processes and their system calls.", LOOK),
    Verb("trace", "Write every call of a process, in strace's format.", LOOK),
    Verb("record", "Keep the last calls of a process in memory, for straced dump.", LOOK),
    Verb("dump", "Write down what a flight recorder holds.", LOOK),
    Verb("report", "Summarise a trace file.", LOOK),
    Verb("diff", "Compare two recordings.", LOOK),
    Verb("serve", "Run the service: watch processes and keep their history.", KEEP),
    Verb("watch", "Manage what the service watches: add, ls, rm.", KEEP),
    Verb("history", "Show recorded history.", KEEP),
    Verb("events", "Show events and alerts.", KEEP),
    Verb("status", "Show service status.", KEEP),
    Verb("metrics", "Print metrics in OpenMetrics format.", KEEP),
    Verb("export", "Export history to Parquet or NDJSON.", KEEP),
    Verb("doctor", "Check what works here, and how to enable the rest.", SETUP),
    Verb("completion", "Print the completion script of a shell.", SETUP),
)
BY_NAME = {verb.name: verb for verb in VERBS}


def available() -> tuple[Verb, ...]:
    """The verbs of this build, in the order of the help page."""
    return tuple(verb for verb in VERBS if verb.exists)
