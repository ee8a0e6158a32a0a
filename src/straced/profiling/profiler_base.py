"""What a profiler owns: its tracers, sessions and recordings, what is under way, and how all of that ends."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Operation, all_done, carry
from straced.model.choices import TracerName
from straced.profiling.session import Session
from straced.profiling.tracer_set import TracerSet, despite_errors
from straced.tracers.base import AttachOptions

if TYPE_CHECKING:
    from straced.profiling.kernel_recording import KernelRecording

GIVING_UP_S = 5.0
"""How long attaches that are under way at :meth:`ProfilerBase.close` may take to let go."""


class ProfilerBase:
    """The part of a profiler that outlives its calls.

    Args:
        wanted: the tracer that was asked for, or ``auto``.
        limits: hold for every attach.
        tracers: made when they are needed.
    """

    def __init__(self, wanted: TracerName, limits: AttachOptions, tracers: TracerSet) -> None:
        self._wanted = wanted
        self._options = limits
        self._tracers = tracers
        self._sessions: dict[int, list[Session]] = {}
        self._recordings: set[KernelRecording] = set()
        self._attempts: set[Operation[Any]] = set()
        self._owner = OwnerBinding("Profiler")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def mine(self) -> bool:
        """Whether this is no forked copy, which is inert. One that was not in use before the fork is none."""
        return self._owner.here

    @property
    def wanted(self) -> TracerName:
        """The tracer that was asked for, or ``auto``."""
        return self._wanted

    @property
    def sessions(self) -> list[Session]:
        """The sessions that have not ended, in the order attached; none of them is a forked copy's."""
        if not self.mine:
            return []
        return [session for group in self._sessions.values() for session in group]

    @property
    def helper_pids(self) -> list[int]:
        """The pids of all processes that straced started to observe: straces, their guard and what it keeps ready."""
        return [pid for tracer in self._tracers.made for pid in tracer.process_pids] if self.mine else []

    @property
    def strace_pids(self) -> list[int]:
        """The pids of the straces that have a target now, those that count first, each in the order attached."""
        using_ptrace = [tracer for tracer in self._tracers.made if tracer.uses_ptrace] if self.mine else []
        return [pid for tracer in using_ptrace for pid in tracer.helper_pids]

    async def close(self) -> None:
        """End all sessions and helpers. Idempotent; once begun it is done, cancelled or not. Not for a forked copy.

        Raises:
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
            NoResources: there is no descriptor left to end all with.
        """
        if not self.mine:
            return
        if self._tracers.made or self._attempts or self._recordings:
            self._owner.enter()
            await carry(self._close())

    async def _close(self) -> None:
        await all_done(list(self._attempts), GIVING_UP_S)
        for session in self.sessions:
            session.request_stop()
        for session in self.sessions:
            await despite_errors(session.detach())
        for recording in list(self._recordings):
            await despite_errors(recording.stop())
        await self._tracers.close()

    def _own(self, session: Session) -> Session:
        self._sessions.setdefault(session.target.pid, []).append(session)
        return session

    def _forget(self, session: Session) -> None:
        group = self._sessions.get(session.target.pid, [])
        if session in group:
            group.remove(session)
        if not group:
            self._sessions.pop(session.target.pid, None)
