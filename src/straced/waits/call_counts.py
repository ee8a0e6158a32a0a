"""Let a tracer count while /proc is watched: eBPF by itself where it may run, ptrace only for those who ask for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from straced.errors import InvalidArgument, StracedError
from straced.model.types import Summary
from straced.waits.facts.activity import Activity
from straced.waits.pausing import pause

TRACERS = ("auto", "none", "ebpf", "strace")
Sharpen = Callable[[int, int], Summary | None]
"""(pid, duration in ns) -> what a tracer counted meanwhile."""
FIRST_LOOK_SHARE = 0.25
"""The part of the window in which /proc alone decides whether there is anything to count."""
_WORTH_PCT, _WORTH_SWITCHES_PER_S = 5.0, 20


def by(tracer: str) -> Sharpen | None:
    """What to sharpen with: ``auto`` is eBPF, or nothing where that may not run; a name never falls back.

    The callable raises what the tracer raises, unless ``auto`` chose it.
    """
    if tracer not in TRACERS:
        raise InvalidArgument(f"{tracer!r} is not a tracer that can help here", hint=f"one of {', '.join(TRACERS)}")
    return None if tracer == "none" else lambda pid, duration_ns: _count(pid, duration_ns, tracer)


def is_eager(tracer: str) -> bool:
    """Whether a tracer was asked for by name: then it counts in any case."""
    return tracer not in ("auto", "none")


def sees_wakes(tracer: str) -> bool:
    """Whether a tracer that was asked for by name can see who wakes whom."""
    return tracer not in ("auto", "none", "strace")


def is_worth_it(tasks: list[Activity], window_ns: int) -> bool:
    """Whether a process does enough to count: what is asleep makes no calls, and is not to be touched."""
    pct = sum(task.cpu_pct or 0 for task in tasks)
    switches = sum(task.switches or 0 for task in tasks)
    return pct >= _WORTH_PCT or switches * 1e9 / max(window_ns, 1) >= _WORTH_SWITCHES_PER_S


def _count(pid: int, duration_ns: int, tracer: str) -> Summary | None:
    from straced.blocking import BlockingProfiler
    from straced.profiling.arguments import check_tracer

    end_ns = time.monotonic_ns() + duration_ns
    try:
        with BlockingProfiler("ebpf" if tracer == "auto" else check_tracer(tracer)) as profiler:
            session = profiler.attach(pid, follow=False)
            # On a busy machine to attach may take all the time there was; then a little more is watched.
            pause(max(duration_ns // 2, end_ns - time.monotonic_ns()) / 1e9)
            return session.detach()
    except StracedError:
        if tracer == "auto":
            return None
        raise
