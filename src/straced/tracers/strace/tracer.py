"""``strace -c`` as a tracer: supervised by a guard, confirmed by the kernel, read from descriptors of our own."""

from __future__ import annotations

import asyncio
import errno
import os
import weakref
from typing import TYPE_CHECKING

from straced import gating, syscalls
from straced.concurrency.shielding import within
from straced.errors import (
    AttachError,
    AttachTimeout,
    NoResources,
    NoSuchProcess,
    StraceMissing,
    TracerUnavailable,
    resources,
)
from straced.linux import procfs
from straced.model.types import Reason, Target
from straced.text.sanitize import scrub_bytes
from straced.tracers.base import AttachOptions, Availability
from straced.tracers.permissions import preflight, refusals
from straced.tracers.strace import binary, task_limit
from straced.tracers.strace import interrupted_calls as interrupted
from straced.tracers.strace.attachment import Attachment, Coverage
from straced.tracers.strace.guard_client import GuardClient, StraceHelper, all_ended
from straced.tracers.strace.session import REAP_S, StraceSession
from straced.tracers.strace.tasks import processes_of, scan

if TYPE_CHECKING:
    from straced.tracers.strace.recording import Recording, RecordOptions

COLUMNS = "time-percent,total-time,min-time,max-time,avg-time,calls,errors,name"
OUTPUT = "/dev/fd/3"
"""Where the guard puts a helper's output; ``-A`` because a plain ``-o`` opens it anew and truncates."""
_owners: weakref.WeakSet[StraceTracer] = weakref.WeakSet()


def own_helpers(*, idle: bool = True) -> frozenset[int]:
    """Pids of all guards and straces of this process, and of what only waits to be a strace: never targets.

    Args:
        idle: with those that wait. Such a one becomes another program under the same pid.
    """
    found: set[int] = set()
    for tracer in list(_owners):
        found.update(tracer.process_pids)
        if not idle:
            found.discard(tracer.guard.spare or 0)
    return frozenset(found)


def is_own_helper(pid: int) -> bool:
    """Whether a guard of this process started it, or it is one."""
    guards = {tracer.guard.pid for tracer in list(_owners)} - {None}
    return bool(guards) and not guards.isdisjoint((pid, *procfs.ancestors(pid)))


class StraceTracer:
    """See :class:`straced.tracers.base.Tracer`. Owns one guard process, started with the first attach."""

    name = "strace"

    def __init__(self) -> None:
        self.guard = GuardClient()
        self._sessions: list[StraceSession | Recording] = []
        _owners.add(self)

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
    def recordings(self) -> list[Recording]:
        """Full traces that have a target now."""
        return [each for each in self._sessions if not isinstance(each, StraceSession) and each.alive]

    def made(self, recording: Recording) -> bool:
        """Whether a recording is one of this tracer's."""
        return recording.guard is self.guard

    def probe(self, target: Target | None = None) -> Availability:
        try:
            strace = binary.find()
            if target is not None:
                preflight.check(target.pid, helpers=own_helpers())
        except (StraceMissing, AttachError) as error:
            return Availability(usable=False, detail=error.reason, error=error)
        return Availability(usable=True, detail=f"strace {strace.version[0]}.{strace.version[1]}")

    async def attach(self, target: Target, options: AttachOptions) -> StraceSession:
        """Attach ``strace -c`` to every task of the target; see :meth:`straced.tracers.base.Tracer.attach`.

        Raises:
            StraceMissing: there is no usable strace.
            AttachError: the kernel refused, or did not confirm in time.
        """
        strace = await self.prepared()
        await self.until_free(target)
        pidfd, alone = self.hold(target, options.force)
        outputs: list[int] = []

        def spawn(pids: list[int]) -> StraceHelper:
            fd = os.memfd_create(f"straced-{target.pid}")
            outputs.append(fd)
            return self.guard.spawn(_summary_argv(strace, options, pids, only is None), pids, fd)

        try:
            reasons = _known_before(target, options, leader_exited=bool(alone))
            only = self._too_many(target, options, reasons)
            attachment = Attachment(
                target.pid, spawn, follow=options.follow, excluded=own_helpers(), only=only, instead=alone
            )
            coverage = await self.confirmed(target, attachment)
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

    async def prepared(self) -> binary.Strace:
        """The strace to use, and a guard that is up: the first time both take a while, side by side."""
        try:
            if self.guard.started:
                return await binary.find_soon()
            strace, started, _ = await asyncio.gather(
                binary.find_soon(),
                asyncio.to_thread(self.guard.start),
                asyncio.to_thread(syscalls.names, syscalls.native_abi()),  # a detach may have no descriptor to load it
                return_exceptions=True,
            )
            if isinstance(strace, BaseException):
                raise strace
            if isinstance(started, BaseException):
                raise started
        except RuntimeError as error:  # what Python says when there is no room for another thread
            raise NoResources(errno.EAGAIN) from error
        return strace

    async def until_free(self, target: Target) -> None:
        """Wait for a helper of ours that is just letting go of the target, after a detach or a cancelled attach."""
        if leaving := self.guard.leaving(target.pid):
            await within(REAP_S, all_ended(leaving))

    def hold(self, target: Target, force: bool) -> tuple[int, tuple[int, ...]]:
        """Check that the target may be traced, and hold it: a pidfd first, so that no reused pid slips in (S19).

        Returns:
            The pidfd, and the live threads to attach to when the leader has exited (F5), else nothing.

        Raises:
            AttachError: refused before any tracer was started.
        """
        try:
            with resources(target.pid):
                pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError as error:
            raise NoSuchProcess(f"there is no process {target.pid}", pid=target.pid) from error
        except OSError as error:
            raise AttachError(f"process {target.pid} cannot be held ({error.strerror})", pid=target.pid) from error
        try:
            alone = preflight.check(target.pid, force=force, helpers=own_helpers())
            if procfs.stat(target.pid).start_ticks != target.start_ticks:
                raise procfs.Gone
        except procfs.Gone as error:
            os.close(pidfd)
            raise NoSuchProcess(f"process {target.pid} has ended", pid=target.pid) from error
        except BaseException:
            os.close(pidfd)
            raise
        return pidfd, alone

    async def confirmed(self, target: Target, attachment: Attachment) -> Coverage:
        """Run an attachment; whatever goes wrong, cancellation included, the target is let go of.

        Raises:
            AttachError: refused, gone, or not confirmed in time.
        """
        try:
            with resources(target.pid):
                coverage = await attachment.run()
                await self._check(target, attachment, coverage)
        except OSError as error:
            await self._give_up(attachment)
            raise TracerUnavailable(f"strace could not be started ({error.strerror})", pid=target.pid) from error
        except BaseException:
            await self._give_up(attachment)
            raise
        return coverage

    async def _check(self, target: Target, attachment: Attachment, coverage: Coverage) -> None:
        if coverage.traced == 0 and not _ended_well(attachment):
            failed = [helper.exited.result() for helper in attachment.helpers if helper.exited.done()]
            await self._give_up(attachment)
            if not failed:
                for tracer in coverage.foreign:  # it was quicker than we
                    refusals.refuse_traced(target.pid, f"{target.pid} ({target.comm})", tracer, procfs.ROOT)
                raise AttachTimeout(
                    f"the kernel did not confirm the attachment to {target.pid} in time", pid=target.pid
                )
            lines = b"".join(end.get("stderr", b"") for end in failed).splitlines()
            said = scrub_bytes(lines[-1], 200).rpartition("strace: ")[2] if lines else ""
            raise preflight.explain_refusal(target.pid, helpers=own_helpers(), said=said)
        if _is_another(target):
            raise NoSuchProcess(f"process {target.pid} ended, and another one has its pid now", pid=target.pid)

    async def _give_up(self, attachment: Attachment) -> None:
        for helper in attachment.helpers:
            self.guard.stop(helper, "cancelled")
        await within(2 * REAP_S, all_ended(attachment.helpers))

    def _too_many(self, target: Target, options: AttachOptions, reasons: list[Reason]) -> list[int] | None:
        """The tasks to attach to when there are more than may be, and a word about it (S25)."""
        count = task_limit.count(target.pid, options.follow, own_helpers())
        if count <= options.max_tasks:
            return None
        tasks = scan(processes_of(target.pid, options.follow, own_helpers()))
        tids = [task.tid for task in tasks.tasks if not task.is_dead][: options.max_tasks]
        reasons.append(Reason("tasks", f"{len(tids)} of {count} tasks traced (--max-tasks), new ones not followed"))
        return tids

    def adopt(self, session: Recording) -> None:
        """Count a recording among this tracer's sessions."""
        self._sessions.append(session)

    def forget(self, session: StraceSession | Recording) -> None:
        """Drop a session that has ended."""
        if session in self._sessions:
            self._sessions.remove(session)

    async def record(self, target: Target, output: int | None, options: RecordOptions) -> Recording:
        """Start a full trace; see :func:`straced.tracers.strace.recording.record`."""
        from straced.tracers.strace.recording import record

        return await record(self, target, output, options)

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


def _is_another(target: Target) -> bool:
    """Whether the pid was reused between the check and the attachment (S19). A target that has ended is none."""
    try:
        return procfs.stat(target.pid).start_ticks != target.start_ticks
    except procfs.Gone:
        return False


def _ended_well(attachment: Attachment) -> bool:
    """The target was gone before we could look, but strace had it: a clean end without a complaint."""
    exits = [helper.exited.result() for helper in attachment.helpers if helper.exited.done()]
    return bool(exits) and all(end["code"] == 0 and end["why"] == "self" and not end["stderr"] for end in exits)


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
    elif coverage.churn:
        text = f"threads came and went faster than they could be looked at; {coverage.traced} confirmed"
        reasons.append(Reason("coverage", text))
    elif not coverage.complete:
        reasons.append(Reason("coverage", f"{coverage.traced} of {coverage.seen} tasks confirmed"))
