"""Full traces that clients ask for: by records, or by a strace that runs as them.

For a user the kernel records what is wholly theirs, and lets go of a process in the moment in which it is no more: an
execve gave it rights, or it has changed its ids or hidden itself. A strace that runs as that user can do no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from straced import gating
from straced.errors import InvalidArgument, NotPermitted, OutputError, TracerUnavailable
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
from straced.tracers.strace.filters import trace_set
from straced.tracers.strace.recording import RecordOptions, StraceRecording

if TYPE_CHECKING:
    from straced.tracers.recording import Recording

RECORDED_OF_A_USER, RECORDED = 2, 8
"""Traces by records at a time, of one user who is not root, and of all: each has programs, counters and rings of its
own, some 30 MB of the kernel's memory."""
RINGS_BYTES = 16 << 20
"""Of all CPUs together: of a trace that somebody reads all the time."""
ClientRecording = StraceRecording | TakenDump | KernelRecording


class ClientTrace:
    """A full trace, and the way on which its client gets it."""

    def __init__(self, recording: ClientRecording, spool: Spool | RecordSpool) -> None:
        self.recording = recording
        self.spool = spool


class ClientTraces:
    """Begins them.

    Args:
        profiler: takes them.
        folder: on whose disk records wait for their readers.
    """

    def __init__(self, profiler: Callable[[], Profiler], folder: Path) -> None:
        self._profiler = profiler
        self._folder = folder
        self._recorded: list[int] = []
        """Whose traces by records run, or are being begun."""
        self._refusal = ""
        """Why this kernel never loads what records for users; it is not asked again by each of them."""

    @property
    def recorded(self) -> int:
        """How many are taken by eBPF now."""
        return len(self._recorded)

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
                recording, spool = await self._record(peer, params, options)
            except (NotPermitted, OutputError) as error:
                if not order.strace:
                    raise
                raise TracerUnavailable(error.reason) from error
            made.append(ClientTrace(recording, spool))
            return recording

        async def by_strace() -> Recording:
            recording = await self._profiler().record(params.pid, None, options)
            made.append(ClientTrace(recording, Spool(recording.readers)))
            return recording

        with gating.asking(params.pid, gating.TRACE):
            recording = await full_traces.by_order(order, by_records, by_strace)
        return made[0], recording

    async def _record(
        self, peer: Peer, params: messages.TraceParams, options: RecordOptions
    ) -> tuple[KernelRecording, RecordSpool]:
        if len(self._recorded) >= RECORDED or (
            not peer.is_root and self._recorded.count(peer.uid) >= RECORDED_OF_A_USER
        ):
            raise TracerUnavailable("as many traces by records run as there may be", hint="end one of them")
        if self._refusal and not peer.is_root:
            raise TracerUnavailable(self._refusal)
        self._recorded.append(peer.uid)
        file = None
        try:
            file = nameless(self._folder)
            recording = await self._profiler().record_calls(
                params.pid,
                NamelessOutput(file),
                structs.replace(options, max_bytes=params.max_bytes if params.binary else None),
                binary=True,
                user=None if peer.is_root else Rights(peer.uid, peer.gid, peer.capabilities),
                ring_bytes=RINGS_BYTES // (os.cpu_count() or 1),
            )
        except BaseException as error:
            if isinstance(error, EbpfUnavailable) and not peer.is_root:
                cause = error.__cause__
                lasts = isinstance(cause, OSError) and cause.errno in LASTING
                self._refusal = error.reason if lasts else ""
            self._recorded.remove(peer.uid)
            if file is not None:
                file.close()
            raise
        recording.when_over(lambda: self._recorded.remove(peer.uid))
        return recording, RecordSpool(recording, file)
