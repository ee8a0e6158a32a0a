"""Who follows a process already: there is nothing to attach to in what another target's trace has taken in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from straced.profiling.session import Session
from straced.tracers.strace import tasks

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


def covering(pid: int, sessions: Mapping[int, Session], traces: Mapping[int, StraceRecording]) -> int | None:
    """The other target whose straces have every living task of a process, by the kernel's word; ``None``: none has.

    Args:
        pid: the process.
        sessions: what is counted, by pid.
        traces: the full traces that may have taken some of these over.
    """
    if not sessions:
        return None
    tracers = {task.tracer for task in tasks.scan([pid]).tasks if not task.is_dead}
    for other, session in sessions.items():
        trace = traces.get(other)
        helpers = {*session.helper_pids, *(trace.helper_pids if trace is not None else ())}
        if tracers and other != pid and session.alive and helpers.issuperset(tracers):
            return other
    return None
