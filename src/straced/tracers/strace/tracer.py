"""``strace -c`` as a tracer: supervised by a guard, confirmed by the kernel, read from descriptors of our own."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, TypeGuard

from straced import gating
from straced.concurrency.shielding import within
from straced.errors import AttachError, StraceMissing
from straced.model.types import Reason, Target
from straced.text.units import count_of
from straced.tracers.base import AttachOptions, Availability, Coverage
from straced.tracers.permissions import preflight
from straced.tracers.strace import binary, task_limit
from straced.tracers.strace import interrupted_calls as interrupted
from straced.tracers.strace.attach_steps import AttachSteps
from straced.tracers.strace.attachment import Attachment
from straced.tracers.strace.guard_client import OUTPUT, GuardClient, StraceHelper
from straced.tracers.strace.own_helpers import note, own_helpers
from straced.tracers.strace.session import REAP_S, StraceSession
from straced.tracers.strace.tasks import processes_of, scan

if TYPE_CHECKING:
    from straced.tracers.strace.recording import RecordOptions, StraceRecording

COLUMNS = "time-percent,total-time,min-time,max-time,avg-time,calls,errors,name"


class StraceTracer:
    """See :class:`straced.tracers.base.Tracer`. Owns one guard process, started with the first attach."""

    name = "strace"
    uses_ptrace = True
    tells_events = False

    def __init__(self) -> None:
        self.guard = GuardClient()
        self.steps = AttachSteps(self.guard)
        self._sessions: list[StraceSession | StraceRecording] = []
        note(self)

    @property
    def helper_pids(self) -> list[int]:
        """Live straces, summaries first, in the order attached."""
        ordered = sorted(self._sessions, key=lambda session: not isinstance(session, StraceSession))
        return [pid for session in ordered for pid in session.helper_pids]

    @property
    def process_pids(self) -> list[int]:
        """All processes of this tracer: the straces, the guard, and what only waits to be a strace."""
        others = (self.guard.pid, self.guard.spare)
        return [*self.helper_pids, *(pid for pid in others if pid is not None)] if self.guard.mine else []

    @property
    def recordings(self) -> list[StraceRecording]:
        """Full traces that have a target now."""
        return [each for each in self._sessions if not isinstance(each, StraceSession) and each.alive]

    def made(self, trace: object) -> TypeGuard[StraceRecording]:
        """Whether something is a full trace of this tracer."""
        from straced.tracers.strace.recording import StraceRecording

        return isinstance(trace, StraceRecording) and trace.guard is self.guard

    def probe(self, target: Target | None = None) -> Availability:
        try:
            strace = binary.find()
            if target is not None:
                preflight.check(target.pid, helpers=own_helpers())
        except (StraceMissing, AttachError) as error:
            return Availability(usable=False, detail=error.reason, error=error)
        return Availability(usable=True, detail=f"strace {strace.version[0]}.{strace.version[1]}")

    def trial(self) -> Availability:
        """As :meth:`probe`: what the kernel refuses it refuses for a target."""
        return self.probe()

    async def attach(self, target: Target, options: AttachOptions) -> StraceSession:
        """Attach ``strace -c`` to every task of the target; see :meth:`straced.tracers.base.Tracer.attach`.

        Raises:
            StraceMissing: there is no usable strace.
            AttachError: the kernel refused, or did not confirm in time.
        """
        strace = await self.steps.prepared()
        await self.steps.until_free(target)
        pidfd, alone = self.steps.hold(target, options.force)
        outputs: list[int] = []

        def spawn(pids: list[int]) -> StraceHelper:
            fd = os.memfd_create(f"straced-{target.pid}")
            outputs.append(fd)
            return self.guard.spawn(_summary_argv(strace, options, pids, only is None), pids, fd)

        try:
            await self.steps.refuse_unstoppable(target)
            reasons = _known_before(target, options, leader_exited=bool(alone))
            only = self._too_many(target, options, reasons)
            attachment = Attachment(
                target.pid, spawn, follow=options.follow, excluded=own_helpers(), only=only, instead=alone
            )
            coverage = await self.steps.confirmed(target, attachment)
            coverage.task_limited = only is not None
        except BaseException:
            for fd in [*outputs, pidfd]:
                os.close(fd)
            raise
        _judge(coverage, reasons)
        self.guard.calibrate(strace.path)
        session = StraceSession(
            self.guard, target, pidfd, attachment.helpers, outputs, coverage, reasons, options.time, self.forget
        )
        self._sessions.append(session)
        return session

    def _too_many(self, target: Target, options: AttachOptions, reasons: list[Reason]) -> list[int] | None:
        """The tasks to attach to when there are more than may be, and a word about it."""
        count = task_limit.count(target.pid, options.follow, own_helpers())
        if count <= options.max_tasks:
            return None
        tasks = scan(processes_of(target.pid, options.follow, own_helpers()))
        tids = [task.tid for task in tasks.tasks if not task.is_dead][: options.max_tasks]
        reasons.append(
            Reason("tasks", f"{len(tids)} of {count_of(count, 'task')} traced (max_tasks), new ones not followed")
        )
        return tids

    def forget(self, session: StraceSession | StraceRecording) -> None:
        """Drop a session that has ended."""
        if session in self._sessions:
            self._sessions.remove(session)

    async def record(self, target: Target, output: int | None, options: RecordOptions) -> StraceRecording:
        """Start a full trace; see :func:`straced.tracers.strace.full_trace.record`."""
        from straced.tracers.strace.full_trace import record

        recording = await record(self.steps, target, output, options, self.forget)
        self._sessions.append(recording)
        return recording

    async def close(self) -> None:
        """End everything this tracer started; the guard leaves too. A later attach starts a new one."""
        if not self.guard.mine:
            return
        sessions = list(self._sessions)
        for session in sessions:
            session.request_stop("detach")
        for session in sessions:
            await within(2 * REAP_S, session.wait())
        self.guard.close()
        await asyncio.to_thread(self.guard.wait_closed, REAP_S)


def _summary_argv(strace: binary.Strace, options: AttachOptions, pids: list[int], follow_tasks: bool) -> list[str]:
    argv = [strace.path, "-q", *(["-f"] if follow_tasks else []), "-c"]
    argv += ["-w"] if options.time == "wall" else []
    argv += ["-U", COLUMNS] if strace.selects_columns else []
    argv += ["-A", "-o", OUTPUT]
    for pid in pids:
        argv += ["-p", str(pid)]
    return argv


def _known_before(target: Target, options: AttachOptions, *, leader_exited: bool) -> list[Reason]:
    """What is said about the attachment whatever comes of it."""
    reasons = []
    if leader_exited:
        reasons.append(Reason("leader_exited", "the leader of the process has exited; its other threads are traced"))
    if not options.follow:
        text = "strace cannot follow new threads without new children: children born later are counted too"
        reasons.append(Reason("children", text))
    if (interrupted_calls := interrupted.reason(target.pid)) is not None and gating.program_of(target.pid) is None:
        reasons.append(interrupted_calls)
    return reasons


def _judge(coverage: Coverage, reasons: list[Reason]) -> None:
    if coverage.foreign:
        others = ", ".join(str(pid) for pid in coverage.foreign)
        reasons.append(Reason("already_traced", f"some tasks belong to another tracer ({others})"))
    if coverage.churn:
        text = f"threads came and went faster than they could be looked at; {coverage.traced} confirmed"
        reasons.append(Reason("coverage", text))
    elif not coverage.complete:
        reasons.append(Reason("coverage", f"{coverage.traced} of {count_of(coverage.seen, 'task')} confirmed"))
