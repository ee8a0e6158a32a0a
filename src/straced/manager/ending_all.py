"""The end of all traces of a manager at once: each is asked to stop before the first is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from straced.concurrency.shielding import within
from straced.manager.full_traces import FullTrace
from straced.manager.summary_traces import SummaryTraces
from straced.manager.trace_summary import TraceSummary
from straced.profiling.session import Session

SHUTDOWN_GRACE_S = 2.0


async def end_all(
    summaries: SummaryTraces,
    sessions: Mapping[int, Session],
    traces: Sequence[FullTrace],
    gathered: dict[int, TraceSummary],
) -> None:
    """Stop them, within twice the grace.

    Args:
        summaries: sums the sessions up.
        sessions: taken out of it already, by pid.
        traces: full ones.
        gathered: gets each summary as soon as there is one, also of a call that is cancelled.
    """
    for trace in traces:
        trace.recording.request_stop("detach", SHUTDOWN_GRACE_S)
    for session in sessions.values():
        session.request_stop("detach", SHUTDOWN_GRACE_S)

    async def end(pid: int, session: Session) -> None:
        summary = await summaries.end(pid, session, SHUTDOWN_GRACE_S)
        if summary is not None:
            gathered[pid] = summary

    work = [trace.stop(SHUTDOWN_GRACE_S) for trace in traces]
    work += [end(pid, session) for pid, session in sessions.items()]
    await within(2 * SHUTDOWN_GRACE_S, asyncio.gather(*work, return_exceptions=True))
