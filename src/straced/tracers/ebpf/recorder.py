"""Recording all calls of a process to a file: one loaded object for each, which goes with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from straced.concurrency.shielding import carry
from straced.errors import NoSuchProcess
from straced.linux import procfs
from straced.model.types import Target
from straced.tracers.base import AttachOptions, Rights
from straced.tracers.ebpf import loading, perf_events, preemption, probe
from straced.tracers.ebpf.attaching import TRACEPOINTS
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.record_engine import RecordEngine
from straced.tracers.ebpf.record_session import EbpfRecording, RecorderOptions, facts_of
from straced.tracers.ebpf.session import EbpfSession
from straced.tracers.strace import free_space

Made = TypeVar("Made")


class LoadedRecorder:
    """The programs, loaded, and not yet on any target; :func:`load` makes one."""

    def __init__(self, engine: RecordEngine, options: RecorderOptions) -> None:
        self.engine = engine
        self.options = options
        self.instance = Instance(engine)

    async def close(self) -> None:
        """Give it all back. Idempotent."""
        await self.instance.close()

    async def begin(
        self, target: Target, fd: int, *, others: Sequence[Target] = (), gated: bool = False
    ) -> EbpfRecording:
        """Record a process into a file, from now on; closes itself where that fails.

        Args:
            target: the process.
            fd: an empty regular file; it stays the caller's.
            others: more processes, none below another; those that have ended by now are left out.
            gated: it is a gate, whose own calls are none of the program.

        Raises:
            AttachError: this target cannot be had.
            EbpfUnavailable: eBPF cannot serve here.
            OutputError: the disk is nearly full.
        """
        try:
            if gated:
                self.engine.begin_with_gate()
            return await self._begin(target, others, fd)
        except BaseException:
            await self.close()
            raise

    async def _begin(self, target: Target, others: Sequence[Target], fd: int) -> EbpfRecording:
        floor = free_space.floor_bytes(fd, self.options.min_free_bytes)
        sessions = [self._attach(target)]
        for other in others:
            with contextlib.suppress(NoSuchProcess):
                sessions.append(self._attach(other))
        facts = await facts_of(sessions, self.options)
        recording = EbpfRecording(self.engine, sessions, self.options, facts, fd, floor, self.close)
        recording.start()
        return recording

    def _attach(self, target: Target) -> EbpfSession:
        options = self.options
        return attach(self.instance, target, follow=options.follow, force=options.force, user=options.user)


def attach(instance: Instance, target: Target, *, follow: bool, force: bool, user: Rights | None = None) -> EbpfSession:
    """Let an engine record a process from now on.

    Args:
        instance: of the engine.
        target: the process.
        follow: its descendants, too.
        force: also pid 1 of the host.
        user: only what is wholly theirs.

    Raises:
        AttachError: this target cannot be had.
        EbpfUnavailable: eBPF cannot serve here.
    """
    probe.check_target(target, force=force)
    try:
        pidfd = os.pidfd_open(target.pid)
    except ProcessLookupError:
        raise probe.gone(target.pid) from None
    try:
        if procfs.stat(target.pid).start_ticks != target.start_ticks:
            raise probe.gone(target.pid)
        return instance.attach(target, AttachOptions(follow=follow, user=user), pidfd)
    except BaseException as error:
        os.close(pidfd)
        if isinstance(error, procfs.Gone):
            raise probe.gone(target.pid) from None
        if isinstance(error, OSError):
            raise probe.load_error(error) from error
        raise


async def load(options: RecorderOptions) -> LoadedRecorder:
    """Load the programs; no call passes them before :meth:`LoadedRecorder.begin`.

    Raises:
        EbpfUnavailable: eBPF cannot serve here.
    """

    def make(unpreempted: bool) -> LoadedRecorder:
        engine = RecordEngine(
            options.wanted,
            ring_bytes=options.ring_bytes,
            one_user=options.user is not None,
            unpreempted=unpreempted,
        )
        try:
            return LoadedRecorder(engine, options)
        except BaseException:
            engine.close()
            raise

    return await carry(loading.load(maker(make)), LoadedRecorder.close)


def maker(make: Callable[[bool], Made]) -> Callable[[], Made]:
    """What loads programs that record, and says in our errors why it cannot.

    Args:
        make: told whether the programs are to be those that no task can be preempted in.

    Raises:
        EbpfUnavailable: eBPF cannot serve here.
    """
    if (error := probe.missing()) is not None:
        raise error

    def load_here() -> Made:
        try:
            if lacking := probe.lacking():
                raise OSError(22, f"no {lacking}")
            return make(preemption.programs_are_preempted() and perf_events.may_open(tuple(TRACEPOINTS.values())))
        except OSError as failure:
            raise probe.load_error(failure) from failure

    return load_here
