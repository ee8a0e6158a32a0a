"""What can be an argument of a Profiler, a Client, or a session; anything else is refused before anything is done."""

from __future__ import annotations

import math
from typing import get_args

from straced.errors import InvalidArgument
from straced.model.choices import TimeKind, Timestamps, TracerName, TraceTracer

PID_MAX = 1 << 22
_NAMES: tuple[TracerName, ...] = get_args(TracerName)
_TIMES: tuple[TimeKind, ...] = get_args(TimeKind)


def check_tracer(tracer: str) -> TracerName:
    """Return the name of a tracer, or ``auto``; raise InvalidArgument for anything else."""
    for name in _NAMES:
        if name == tracer:
            return name
    raise InvalidArgument(f"{tracer!r} is not a tracer", hint=f"one of {', '.join(_NAMES)}")


def check_time(time: str) -> None:
    """Raise InvalidArgument for what times cannot be measured in."""
    if time not in _TIMES:
        raise InvalidArgument(f"{time!r} is not a kind of time", hint=f"one of {', '.join(_TIMES)}")


def check_pid(pid: int) -> None:
    """Raise InvalidArgument for what is no pid of any machine."""
    if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= PID_MAX:
        raise InvalidArgument(f"{pid!r} is not a pid")


def check_budgets(max_overhead_pct: float | None, max_tasks: int) -> None:
    """Raise InvalidArgument for limits that nothing can be compared with."""
    if max_overhead_pct is not None and not (isinstance(max_overhead_pct, (int, float)) and max_overhead_pct >= 0):
        raise InvalidArgument(f"{max_overhead_pct!r} is not a slowdown", hint="per cent, 0 or more")
    if not (isinstance(max_tasks, int) and max_tasks >= 1):
        raise InvalidArgument(f"{max_tasks!r} is not a number of tasks", hint="1 or more")


def check_trace(
    timestamps: str,
    string_bytes: int | None,
    max_bytes: int | None,
    max_seconds: float | None,
    min_free_bytes: int | None,
    tracer: str = "auto",
) -> None:
    """Raise InvalidArgument for what a full trace cannot be held to."""
    if tracer not in (tracers := get_args(TraceTracer)):
        raise InvalidArgument(f"{tracer!r} writes no full trace", hint=f"one of {', '.join(tracers)}")
    if timestamps not in (known := get_args(Timestamps)):
        raise InvalidArgument(f"{timestamps!r} are no timestamps", hint=f"one of {', '.join(known)}")
    for what, value, least in (
        ("string_bytes", string_bytes, 0),
        ("max_bytes", max_bytes, 1),
        ("min_free_bytes", min_free_bytes, 0),
    ):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise InvalidArgument(f"{what}={value!r} is no number of bytes", hint=f"{least} or more")
    if max_seconds is not None and not (isinstance(max_seconds, (int, float)) and 0 < max_seconds < math.inf):
        raise InvalidArgument(f"max_seconds={max_seconds!r} is no time", hint="seconds, more than 0")


def check_limit(slower_than: float | None, tracer: TracerName) -> int | None:
    """Return a limit in nanoseconds; raise InvalidArgument for what is none, or none of this tracer."""
    if slower_than is None:
        return None
    if isinstance(slower_than, bool) or not isinstance(slower_than, (int, float)) or not 1e-9 <= slower_than < 1e9:
        raise InvalidArgument(f"slower_than={slower_than!r} is no time", hint="seconds, more than 0")
    if tracer not in ("auto", "ebpf"):
        raise InvalidArgument(f"slow calls are told by eBPF, not by {tracer}", hint='use tracer="ebpf"')
    return int(slower_than * 1e9)


def check_interval(seconds: float) -> None:
    """Raise InvalidArgument for what cannot be the length of an interval."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise InvalidArgument(f"{seconds!r} is not an interval", hint="seconds, more than 0")
