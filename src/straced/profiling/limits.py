"""A session under ptrace is let go when it costs its target, or the machine, more than was allowed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from straced.profiling.session import Session

WATCH_S = 0.25
"""How often the cost of a session with an overhead budget is looked at; the number of tasks at half that rate."""


async def watch_limits(session: Session) -> None:
    """Watch until the session ends; detach with the reason ``overhead`` or ``tasks``.

    strace tells no counts while it runs, but each traced call stops its task twice, and a stop is a voluntary
    context switch of the task; the estimate is too high by the switches that the target makes of its own.
    """
    from straced.tracers.strace import context_switches, task_limit

    pid, options = session.target.pid, session.options
    limit_pct = options.max_overhead_pct
    before = context_switches.count(pid, options.follow) if limit_pct is not None else None
    since = time.monotonic_ns()
    pause = WATCH_S if limit_pct is not None else 2 * WATCH_S
    with contextlib.suppress(asyncio.CancelledError):
        while not session.ended:
            await asyncio.sleep(pause)
            if task_limit.count(pid, options.follow) > options.max_tasks:
                await _give_way(session)
                continue
            if limit_pct is None:
                continue
            now, at = context_switches.count(pid, options.follow), time.monotonic_ns()
            if now is not None and before is not None:
                overhead = session.overhead(context_switches.as_sample(now - before, at), at - since)
                if overhead.pct is not None and overhead.pct > limit_pct:
                    await session.detach("overhead")
            before, since = now, at


async def _give_way(session: Session) -> None:
    """Too many tasks: a full trace gives way to counts, and counts that began with fewer tasks to nothing."""
    if session.recording is not None:
        session.recording.request_stop("tasks")
    elif not session.is_handed_over and not session.is_task_limited:
        await session.detach("tasks")
