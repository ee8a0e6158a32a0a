"""From strace's tables to the counters that all tracers share, and what such a table cannot know."""

from __future__ import annotations

from straced.model.types import Counters, Reason
from straced.syscalls import number_of
from straced.tracers.strace.summary_table import SummaryTable

RESTART = "restart_syscall"

LIMITS = (
    Reason("no_exit", "calls that never return (exit_group, exit) are not in strace's count"),
    Reason("no_unknown", "nor are calls whose number it does not know"),
    Reason("restarts_as_errors", "interrupted calls that are restarted stand among its errors"),
    Reason("in_flight_at_attach", "a call in flight at the attach counts when it returns"),
)
"""True of every strace -c; each has been measured (see docs/reliability.md)."""

BELOW_CLOCK = Reason("clock", "so few calls took less CPU time than the kernel's clock tells: their shares are unknown")
"""Where CPU time is told in ticks (1 to 10 ms, see CONFIG_TICK_CPU_ACCOUNTING), few calls show as 0 s."""


def counters(tables: list[SummaryTable], time: str) -> list[Counters]:
    """Rows of all tables of one strace, times as ``wall_ns`` or, for plain ``-c``, as ``working_ns``."""
    rows = []
    for table in tables:
        for row in table.rows:
            # What resumes an interrupted call is not a new call: its number stands as restarts.
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
