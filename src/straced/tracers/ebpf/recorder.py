"""Recording all calls of a process to a file: one loaded object for each, which goes with it."""

from __future__ import annotations

import os

from straced.concurrency.shielding import carry
from straced.linux import procfs
from straced.model.types import Target
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import loading, perf_events, preemption, probe
from straced.tracers.ebpf.attaching import TRACEPOINTS
from straced.tracers.ebpf.instance import Instance
from straced.tracers.ebpf.record_engine import RecordEngine
from straced.tracers.ebpf.record_session import EbpfRecording, RecorderOptions
from straced.tracers.ebpf.session import EbpfSession
from straced.tracers.strace import free_space


class LoadedRecorder:
    """The programs, loaded, and not yet on any target; :func:`load` makes one."""

    def __init__(self, engine: RecordEngine, options: RecorderOptions) -> None:
        self.engine = engine
        self.options = options
        self.instance = Instance(engine)

    async def close(self) -> None:
        """Give it all back. Idempotent."""
        await self.instance.close()

    async def begin(self, target: Target, fd: int) -> EbpfRecording:
        """Record a process into a file, from now on; closes itself where that fails.

        Args:
            target: the process.
            fd: an empty regular file; it stays the caller's.

        Raises:
            AttachError: this target cannot be had.
            EbpfUnavailable: eBPF cannot serve here.
            OutputError: the disk is nearly full.
        """
        try:
            return self._begin(target, fd)
        except BaseException:
            await self.close()
            raise

    def _begin(self, target: Target, fd: int) -> EbpfRecording:
        floor = free_space.floor_bytes(fd, self.options.min_free_bytes)
        probe.check_target(target, force=self.options.force)
        session = self._attach(target)
        recording = EbpfRecording(self.engine, session, self.options, fd, floor, self.close)
        recording.start()
        return recording

    def _attach(self, target: Target) -> EbpfSession:
        try:
            pidfd = os.pidfd_open(target.pid)
        except ProcessLookupError:
            raise probe.gone(target.pid) from None
        try:
            if procfs.stat(target.pid).start_ticks != target.start_ticks:
                raise probe.gone(target.pid)
            return self.instance.attach(target, AttachOptions(follow=self.options.follow), pidfd)
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
    if (error := probe.missing()) is not None:
        raise error

    def make() -> LoadedRecorder:
        try:
            if lacking := probe.lacking():
                raise OSError(22, f"no {lacking}")
            unpreempted = preemption.programs_are_preempted() and perf_events.may_open(tuple(TRACEPOINTS.values()))
            engine = RecordEngine(options.wanted, ring_bytes=options.ring_bytes, unpreempted=unpreempted)
            try:
                return LoadedRecorder(engine, options)
            except BaseException:
                engine.close()
                raise
        except OSError as failure:
            raise probe.load_error(failure) from failure

    return await carry(loading.load(make), LoadedRecorder.close)
