"""From strace's tables to the counters that all tracers share, and what such a table cannot know."""

from __future__ import annotations

from straced.model import Counters, Reason
from straced.syscalls import number_of
from straced.tracers.strace_text import SummaryTable

RESTART = "restart_syscall"

LIMITS = (
    Reason("no_exit", "strace -c does not count calls that never return (exit_group, exit)"),
    Reason("no_unknown", "strace -c leaves out calls whose number it does not know"),
    Reason("restarts_as_errors", "strace -c counts interrupted calls that are restarted among the errors"),
    Reason("in_flight_at_attach", "a call that was in flight at the attach counts when it returns"),
)
"""True of every strace -c; each has been measured (see docs/reliability.md)."""


def counters(tables: list[SummaryTable], time: str) -> list[Counters]:
    """Rows of all tables of one strace, times as ``wall_ns`` or, for plain ``-c``, as ``working_ns``."""
    rows = []
    for table in tables:
        for row in table.rows:
            # What resumes an interrupted call is not a new call (F24): its number stands as restarts.
            resumed = row.name == RESTART
            rows.append(
                Counters(
                    name=row.name,
                    nr=number_of(row.name, table.abi),
                    abi=table.abi,
                    calls=0 if resumed else row.calls,
                    errors=0 if resumed else row.errors,
                    restarts=row.calls if resumed else None,
                    wall_ns=row.seconds_ns if time == "wall" else None,
                    working_ns=row.seconds_ns if time == "cpu" else None,
                    min_ns=row.min_ns,
                    max_ns=row.max_ns,
                )
            )
    return rows
