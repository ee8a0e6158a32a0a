"""What a process runs, in words. Nothing that draws in here."""

from __future__ import annotations

from straced.model.frame import ProcessRow

COMM_MAX = 15
"""TASK_COMM_LEN less its end: a longer name is cut by the kernel."""


def command(row: ProcessRow) -> str:
    """The command line, or the name in brackets where there is none, as ps(1) has it."""
    return row.cmdline or f"[{row.comm}]"


def spoken(row: ProcessRow) -> tuple[str, str]:
    """The command line in two: the name of the program, without its directory where that is plain, and the rest."""
    words = command(row)
    first, blank, rest = words.partition(" ")
    base = first.rpartition("/")[2]
    if base and base[:COMM_MAX] == row.comm[:COMM_MAX]:
        first = base
    return first, blank + rest
