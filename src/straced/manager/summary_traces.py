"""The summary traces of a manager: which run, and what each comes to when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from straced.manager import endings, log_events
from straced.manager.coverage import covering
from straced.manager.finished import Finished
from straced.manager.last_errors import LastErrors
from straced.manager.live_figures import LiveFigures
from straced.manager.trace_summary import TraceSummary, as_dict
from straced.model.types import Summary
from straced.profiling.session import Session
from straced.tracers.strace.own_helpers import is_own_helper

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


class SummaryTraces:
    """Has them by pid, in the order attached.

    Args:
        live: counts beside them, and ends with them.
        errors: told why there is no summary.
        clock: as for :class:`straced.StraceManager`.
    """

    def __init__(self, live: LiveFigures, errors: LastErrors, clock: Callable[[], float]) -> None:
        self._live = live
        self._errors = errors
        self.sessions: dict[int, Session] = {}
        self.finished = Finished(clock)

    @property
    def alive(self) -> list[int]:
        """The pids of those that have not ended."""
        return [pid for pid, session in self.sessions.items() if session.alive]

    def add(self, pid: int, session: Session) -> None:
        """A trace has begun; what is kept of an earlier one of this pid makes way."""
        self.finished.supersede(pid)
        self.sessions[pid] = session
        session.when_over(lambda _: self._note_end(pid, session))

    def take_all(self) -> dict[int, Session]:
        """Have none any more; whoever takes them ends them."""
        taken, self.sessions = self.sessions, {}
        return taken

    def covers(self, pid: int, recordings: Mapping[int, StraceRecording]) -> bool:
        """Whether there is nothing to attach to: a trace of this manager follows it, or it is a helper of straced."""
        if is_own_helper(pid):
            log_events.debug("strace_own_helper", pid=pid)
            return True
        if (other := covering(pid, self.sessions, recordings)) is not None:
            log_events.debug("strace_covered", pid=pid, covered_by=other)
            return True
        return False

    async def sweep(self) -> None:
        """Settle what has just ended, or did while no loop ran to notice it; its summary is kept."""
        for session in list(self.sessions.values()):
            if not session.alive:
                await session.result()

    async def end(self, pid: int, session: Session, grace_s: float | None = None) -> TraceSummary | None:
        """End one that was taken out, and sum it up."""
        await self._live.end(session)
        summary = self._told(pid, await session.end("detach", grace_s))
        if summary is not None:
            self._errors.pop(pid, None)
        return summary

    def keep(self, session: Session, summary: TraceSummary | None) -> None:
        """Keep a summary until somebody asks for it."""
        if summary is not None:
            self.finished.keep(session.target, summary)

    def _note_end(self, pid: int, session: Session) -> None:
        """A session that ended by itself becomes a finished summary, kept until asked for."""
        if self.sessions.get(pid) is session and session.final is not None:
            del self.sessions[pid]
            self.keep(session, self._told(pid, session.final))

    def _told(self, pid: int, summary: Summary) -> TraceSummary | None:
        error = endings.lost(pid, summary)
        if error is None:
            return as_dict(summary)
        self._errors[pid] = error
        return None
