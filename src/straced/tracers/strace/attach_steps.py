"""The steps of an attach by strace, those that a summary and a full trace share: prepare, hold, confirm or give up."""

from __future__ import annotations

import asyncio
import errno
import os

from straced import syscalls
from straced.concurrency.shielding import within
from straced.errors import (
    AttachError,
    AttachTimeout,
    NoResources,
    NoSuchProcess,
    TracerUnavailable,
    resources,
)
from straced.linux import procfs
from straced.model.types import Target
from straced.text.sanitize import scrub_bytes
from straced.tracers.base import Coverage
from straced.tracers.permissions import preflight, refusals
from straced.tracers.strace import binary, unstoppable
from straced.tracers.strace.attachment import Attachment
from straced.tracers.strace.guard_client import LIMITS, GuardClient, HelperExit, all_ended
from straced.tracers.strace.own_helpers import own_helpers
from straced.tracers.strace.session import REAP_S


class AttachSteps:
    """Puts targets under the straces of one guard, and lets go of them again when that fails."""

    def __init__(self, guard: GuardClient) -> None:
        self.guard = guard

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

    async def refuse_unstoppable(self, target: Target) -> None:
        """Refuse a target that would hold on to its strace.

        Raises:
            UninterruptibleTarget: it is in state D, and stays there.
        """
        await unstoppable.refuse(target.pid)

    def hold(self, target: Target, force: bool) -> tuple[int, tuple[int, ...]]:
        """Check that the target may be traced, and hold it: a pidfd first, so that no reused pid slips in.

        Returns:
            The pidfd, and the live threads to attach to when the leader has exited, else nothing.

        Raises:
            AttachError: refused before any tracer was started.
        """
        try:
            with resources(target.pid):
                pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError as error:
            raise NoSuchProcess(f"no such process: {target.pid}", pid=target.pid) from error
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
            strace_error = scrub_bytes(lines[-1], 200).rpartition("strace: ")[2] if lines else ""
            raise preflight.explain_refusal(target.pid, helpers=own_helpers(), strace_error=strace_error)
        if _is_another(target):
            raise NoSuchProcess(f"process {target.pid} ended, and another one has its pid now", pid=target.pid)

    async def _give_up(self, attachment: Attachment) -> None:
        for helper in attachment.helpers:
            self.guard.stop(helper, "cancelled")
        await within(2 * REAP_S, all_ended(attachment.helpers))


def _is_another(target: Target) -> bool:
    """Whether the pid was reused between the check and the attachment. A target that has ended is none."""
    try:
        return procfs.stat(target.pid).start_ticks != target.start_ticks
    except procfs.Gone:
        return False


def _ended_well(attachment: Attachment) -> bool:
    """The target was gone, or a limit reached, before we could look, but strace had it: an end without a complaint."""
    exits = [helper.exited.result() for helper in attachment.helpers if helper.exited.done()]
    return bool(exits) and all(map(_had_it, exits))


def _had_it(end: HelperExit) -> bool:
    return end["why"] in LIMITS or (end["code"] == 0 and end["why"] == "self" and not end["stderr"])
