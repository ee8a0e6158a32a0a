"""A summary in the shape that StraceManager's callers know."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from straced.model.types import Summary


class TraceSummary(TypedDict):
    """What :meth:`StraceManager.detach` returns. Names of a second ABI are keyed ``name@abi``."""

    syscall_counts: dict[str, int]
    syscall_time_pct: dict[str, float]
    """0 to 100; empty where two kinds of time would have to be mixed: each of the ``parts`` has its own then."""
    syscall_errors: dict[str, int]
    syscall_seconds: dict[str, float]
    total_calls: int
    duration_s: float
    time: str
    """``cpu`` (plain ``-c``), ``wall``, or ``mixed``: see ``parts``."""
    quality: dict[str, Any]
    parts: list[dict[str, Any]]
    """What each tracer counted in its turn, when a full trace had the target for a while; with its ``time_pct``."""
    end: str | None
    exit_status: int | None


def as_dict(summary: Summary) -> TraceSummary:
    """Rows in which no call was made (resumed ones only) are left out of the maps."""
    counted = {name: row for name, row in summary.syscalls.items() if row.calls}
    cpu = summary.time == "cpu"
    seconds = {name: row.working_ns if cpu else row.wall_ns for name, row in counted.items()}
    return TraceSummary(
        syscall_counts={name: row.calls or 0 for name, row in counted.items()},
        syscall_time_pct={name: row.time_pct for name, row in counted.items() if row.time_pct is not None},
        syscall_errors={name: row.errors for name, row in counted.items() if row.errors},
        syscall_seconds={name: value / 1e9 for name, value in seconds.items() if value is not None},
        total_calls=summary.total.calls or 0,
        duration_s=(summary.window.duration_ns or 0) / 1e9,
        time=summary.time,
        quality=msgspec.to_builtins(summary.quality),
        parts=msgspec.to_builtins(list(summary.parts)),
        end=summary.end,
        exit_status=summary.exit_status,
    )
