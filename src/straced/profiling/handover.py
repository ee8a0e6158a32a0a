"""A target whose tracer changes: handed over to a full trace, counted beside it or out of its lines, and taken back.

ptrace has one tracer a process, so a strace that counts has to leave while another one writes every call down.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Signal, Turns, attempt, carry
from straced.errors import NotLive, StracedError
from straced.linux import procfs
from straced.model.types import Sample, Summary
from straced.profiling.attaching import AttachedTarget
from straced.profiling.turns import TracerTurns
from straced.tracers.base import AttachOptions, Ending, Tracer, TracerSession, reason_of

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording

_TARGET_ENDED = ("exited", "killed(")


class HandedTarget(ABC):
    """Who has the target of a session now, and what those before counted."""

    def __init__(self, attached: AttachedTarget, options: AttachOptions) -> None:
        self.target = attached.target
        """The process, as it was when that was last looked at: at the attach, or at the end."""
        self.options = options
        """What it is attached to besides, and when it is let go."""
        recording = attached.recording
        self._tracer = attached.tracer
        self._inner = attached.inner
        self._recording = recording
        self._counted = TracerTurns(recording.started_ns if recording is not None else None)
        self._result: Summary | None = None
        self._owner = OwnerBinding("Session")
        self._turns = Turns()
        self._changed = Signal()
        """The session is over, or the target was handed over or came back."""

    @abstractmethod
    def _enter(self) -> None:
        """Before anything else: bind to this process and loop."""

    @abstractmethod
    async def _finish(self, ending: Ending) -> None:
        """End the session, in its turn."""

    async def _settled(self) -> None:
        self._enter()
        while self._result is None and self._inner is None and not (self._recording and self._recording.alive):
            await self._changed.wait()

    async def _recall(self, recording: StraceRecording) -> None:
        """End a full trace, and wait until it has given the target back."""
        await recording.abandon()
        await self._settled()

    async def _hand_over(
        self, start: Callable[[], Awaitable[StraceRecording]], beside: Tracer | None
    ) -> StraceRecording:
        async with self._turns:
            inner = self._inner
            if inner is None:
                raise NotLive("the session has ended, or its target is handed over already", pid=self.target.pid)
            follower = None
            if beside is not None:
                with contextlib.suppress(StracedError):
                    follower = await beside.attach(self.target, self.options)
            try:
                await carry(self._set_down(inner))
                if beside is None or follower is None:
                    recording = await start()
            except BaseException:
                if follower is not None:
                    await follower.detach()
                await carry(self._resume())
                raise
            if beside is not None and follower is not None:
                self._tracer = beside
                self._go_on(follower, await follower.read())
                return await start()
            self._recording = recording
            self._counted.add_gap(recording.started_ns)
            self._changed.happened()
            return recording

    async def _set_down(self, inner: TracerSession) -> None:
        self._inner = None
        self._counted.keep(await inner.detach("taken_over"), inner, self._tracer.name)

    def _go_on(self, inner: TracerSession, baseline: Sample | None = None) -> None:
        self._inner = inner
        self._counted.go_on(baseline)
        self._changed.happened()

    async def _take_back(self, recording: StraceRecording, ending: Ending) -> None:
        async with self._turns:
            if self._recording is not recording or self._result is not None or not self._owner.here:
                return
            await self._counted.keep_recording(recording)
            self._recording = None
            if ending.reason.startswith(_TARGET_ENDED):
                await self._finish(ending)
            else:
                await self._resume()

    async def _resume(self) -> None:
        try:
            inner = await self._tracer.attach(self.target, self.options)
        except Exception:
            await self._finish(Ending(reason="exited" if not self._target_alive() else "lost"))
            return
        self._go_on(inner)

    async def _end_while_handed_over(self, recording: StraceRecording, why: str) -> None:
        """Detached while a full trace runs: the trace goes on, and its lines so far count."""
        await self._counted.keep_recording(recording)
        self._recording = None
        await self._finish(Ending(reason=reason_of(why)))

    def _target_alive(self) -> bool:
        try:
            return procfs.stat(self.target.pid).start_ticks == self.target.start_ticks
        except procfs.Gone:
            return False
        except OSError:  # no descriptor to look with
            return True


async def hand_over(
    session: HandedTarget, start: Callable[[], Awaitable[StraceRecording]], beside: Tracer | None = None
) -> StraceRecording:
    """Give the target of a session over to a full trace: ptrace has one tracer a process. What was counted is kept.

    Args:
        session: one whose tracer uses ptrace.
        start: starts the recording; if it fails, or is cancelled, counting goes on.
        beside: a tracer that can count while the trace runs, and does from then on. Without one the trace's own
            lines are counted, and strace takes the target back when it ends.

    Raises:
        NotLive: the session has ended, or its target is handed over already.
    """
    session._enter()
    return await attempt(session._hand_over(start, beside), session._recall)


async def settled(session: HandedTarget) -> None:
    """Wait until a full trace that has ended has given the target back, and counting goes on or is over."""
    await session._settled()


def sample_in(samples: Mapping[TracerSession, Sample], session: HandedTarget) -> Sample | None:
    """The sample of a session, among those of the sessions of its tracer."""
    return samples.get(session._inner) if session._inner is not None else None
