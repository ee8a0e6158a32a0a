"""Full traces that clients ask for: by records, or by a strace that runs as them.

For a user the kernel records what is wholly theirs, and lets go of a process in the moment in which it is no more: an
execve gave it rights, or it has changed its ids or hidden itself. A strace that runs as that user can do no more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from straced import gating
from straced.errors import InvalidArgument, NotPermitted, OutputError, StracedError, TracerUnavailable
from straced.ipc import messages
from straced.linux.credentials import Peer
from straced.profiling import full_traces, tracer_choice
from straced.profiling.kernel_recording import KernelRecording
from straced.profiling.profiler import Profiler
from straced.service.api.record_spool import NamelessOutput, RecordSpool
from straced.service.api.taken_dump import TakenDump, nameless
from straced.service.api.trace_spool import Spool
from straced.tracers.base import Rights
from straced.tracers.ebpf.errors import EbpfUnavailable
from straced.tracers.ebpf.probe import LASTING
from straced.tracers.ebpf.record_engine import cpu_count
from straced.tracers.strace.filters import trace_set
from straced.tracers.strace.recording import RecordOptions, StraceRecording

if TYPE_CHECKING:
    from straced.tracers.recording import Recording

RECORDED_OF_A_USER, RECORDED, RECORDED_OF_ROOT = 2, 8, 2
"""Traces by records at a time, of one user who is not root, of all, and those beside them that only root can have: each
has programs, counters and rings of its own, some 20 MB of the kernel's memory, and a file until all of it was read."""
RINGS_BYTES = 16 << 20
"""Of all CPUs together at most: of a trace that somebody reads all the time."""
ClientRecording = StraceRecording | TakenDump | KernelRecording


class ClientTrace:
    """A full trace, and the way on which its client gets it."""

    def __init__(self, recording: ClientRecording, spool: Spool | RecordSpool) -> None:
        self.recording = recording
        self.spool = spool

    @property
    def alive(self) -> bool:
        """Whether it runs, or something of it waits on our disk for its reader."""
        return self.recording.alive or (isinstance(self.spool, RecordSpool) and self.spool.waits)

    async def wait(self) -> None:
        """Until it is neither; what strace writes waits with its guard, whose end is that of the recording."""
        with contextlib.suppress(StracedError):
            await self.recording.wait()
        if isinstance(self.spool, RecordSpool):
            await self.spool.wait()


class ClientTraces:
    """Begins them.

    Args:
        profiler: takes them; raises what keeps it from that.
        folder: on whose disk records wait for their readers.
    """

    def __init__(self, profiler: Callable[[], Profiler], folder: Path) -> None:
        self._profiler = profiler
        self._folder = folder
        self._slots: list[int] = []
        """Whose traces by records run, are being begun, or wait to be read."""
        self.recorded = 0
        """How many are taken by eBPF now."""
        self._refusal = ""
        """Why this kernel never loads what records for users; it is not asked again by each of them."""

    async def begin(self, peer: Peer, params: messages.TraceParams, spill_bytes: int) -> tuple[ClientTrace, Recording]:
        """Begin a trace of a process that they may see.

        Args:
            peer: who asks.
            params: for what.
            spill_bytes: how much of it may wait for them.

        Raises:
            InvalidArgument: nobody can do all of it.
            AttachError: the process runs on, untraced.
            TracerUnavailable: none can serve, or not the one asked for.
        """
        if params.tracer not in ("auto", "ebpf", "strace"):
            raise InvalidArgument("a full trace is taken by ebpf or strace", hint='tracer="auto"')
        profiler = self._profiler()
        order = tracer_choice.for_trace(params.tracer, "auto", "paths" if params.paths else "", binary=params.binary)
        options = RecordOptions(
            follow=params.follow,
            timestamps=params.timestamps,
            decode_fds=params.decode_fds,
            string_bytes=params.string_bytes,
            trace=trace_set(params.trace) if params.trace else None,
            paths=params.paths,
            status="failed" if params.failed_only else None,
            max_bytes=params.max_bytes,
            max_seconds=params.max_seconds,
            run_as=None if peer.is_root else (peer.uid, peer.gid),
            spill_bytes=spill_bytes,
            end_when_full=True,
        )
        made: list[ClientTrace] = []

        async def by_records() -> Recording:
            try:
                recording, spool = await self._record(profiler, peer, params, options)
            except (NotPermitted, OutputError) as error:
                if not order.strace:
                    raise
                raise TracerUnavailable(error.reason) from error
            made.append(ClientTrace(recording, spool))
            return recording

        async def by_strace() -> Recording:
            recording = await profiler.record(params.pid, None, options)
            made.append(ClientTrace(recording, Spool(recording.readers)))
            return recording

        with gating.asking(params.pid, gating.TRACE):
            recording = await full_traces.by_order(order, by_records, by_strace)
        return made[0], recording

    async def _record(
        self, profiler: Profiler, peer: Peer, params: messages.TraceParams, options: RecordOptions
    ) -> tuple[KernelRecording, RecordSpool]:
        if len(self._slots) >= RECORDED + RECORDED_OF_ROOT * peer.is_root or (
            not peer.is_root and self._slots.count(peer.uid) >= RECORDED_OF_A_USER
        ):
            raise TracerUnavailable(
                "there are as many traces by records as there may be", hint="end one, and read all of it"
            )
        if self._refusal and not peer.is_root:
            raise TracerUnavailable(self._refusal)
        self._slots.append(peer.uid)
        file = None
        try:
            file = nameless(self._folder)
            recording = await profiler.record_calls(
                params.pid,
                NamelessOutput(file),
                structs.replace(options, max_bytes=params.max_bytes if params.binary else None),
                binary=True,
                user=None if peer.is_root else Rights(peer.uid, peer.gid, peer.capabilities),
                ring_bytes=_ring_bytes(options.spill_bytes or 0),
            )
        except BaseException as error:
            if isinstance(error, EbpfUnavailable) and not peer.is_root:
                cause = error.__cause__
                lasts = isinstance(cause, OSError) and cause.errno in LASTING
                self._refusal = error.reason if lasts else ""
            self._slots.remove(peer.uid)
            if file is not None:
                file.close()
            raise
        self.recorded += 1
        recording.when_over(self._recorded_one)
        return recording, RecordSpool(recording, file, lambda: self._slots.remove(peer.uid))

    def _recorded_one(self) -> None:
        self.recorded -= 1


def _ring_bytes(spill_bytes: int) -> int:
    """Of each CPU: what is in all rings at the end has to find room in the file, beside a full one that waits there."""
    cpus = cpu_count()
    return min(RINGS_BYTES // cpus, spill_bytes // (cpus + 1))
