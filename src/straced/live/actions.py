"""What the live screen can do to a process of this machine: signal it, trace it fully, ask why it waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from straced.errors import AttachError, NoSuchProcess, NotPermitted, OutputExists, TargetIsZombie
from straced.linux import procfs
from straced.live.protocols import TraceState
from straced.live.spared import spared
from straced.model.frame import Key
from straced.text.sanitize import scrub
from straced.text.units import format_bytes

if TYPE_CHECKING:
    from straced.linux.output_file import OutputFile
    from straced.profiling.profiler import Profiler
    from straced.tracers.strace.recording import StraceRecording
    from straced.waits.model import Why

TRACE_MAX_BYTES = 100 * 1000 * 1000
TRACE_MAX_S = 60.0
MOST_A_SECOND = 10
"""Files of traces of one process that begin in the same second."""
WHY_NS = 1_500_000_000
"""How long a process is watched before the verdict: somebody looks at the screen meanwhile."""


class _Trace:
    def __init__(self, pid: int, recording: StraceRecording, output: OutputFile) -> None:
        self.pid = pid
        self.recording = recording
        self.output = output
        self.ended = ""
        self.waiter: asyncio.Task[None] | None = None

    def state(self) -> TraceState:
        """How far it is."""
        return TraceState(
            pid=self.pid,
            path=self.output.path,
            max_bytes=TRACE_MAX_BYTES,
            max_seconds=TRACE_MAX_S,
            bytes=_size(self.output.path),
            running=not self.ended,
            ended=self.ended,
        )


class LocalActions:
    """Acts on this machine. Traces go to new files in ``folder``, mode 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._profiler: Profiler | None = None
        self._traces: dict[Key, _Trace] = {}
        self._old: list[_Trace] = []

    @property
    def folder(self) -> str:
        return scrub(str(self._folder))

    @property
    def trace_limits(self) -> str:
        return f"{format_bytes(TRACE_MAX_BYTES)} or {TRACE_MAX_S:.0f} s"

    async def why(self, key: Key) -> Why:
        """The answer of ``straced why``: the verdict, the chain, the evidence.

        Raises:
            NoSuchProcess: it has ended. OwnProcess: it is straced.
        """
        from straced.waits.process import why_process

        _same(key)
        answer = await asyncio.to_thread(why_process, key[0], WHY_NS)
        if answer.start_ticks != key[1]:
            raise _gone(key)
        return answer

    async def signal(self, key: Key, number: int) -> None:
        """Send a signal to the very process that was on the screen.

        Raises:
            NoSuchProcess, TargetIsZombie: it has ended. NotPermitted: it is another user's.
            OwnProcess: it is straced, a helper of it, or what it runs below. ProtectedTarget: it is pid 1.
        """
        if (refusal := spared(key[0], self._helpers())) is not None:
            raise refusal
        try:
            pidfd = os.pidfd_open(key[0])
        except ProcessLookupError as error:
            raise _gone(key) from error
        try:
            facts = _same(key)  # the descriptor holds this process now, whoever gets its pid later
            if facts.state in "ZX" and facts.num_threads <= 1:  # a leader may end before its threads
                hint = f"its parent {facts.ppid} has not reaped it yet"
                raise TargetIsZombie(f"{key[0]} has already exited (zombie)", hint=hint, pid=key[0])
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError as error:
            raise _gone(key) from error
        except PermissionError as error:
            raise NotPermitted(f"{key[0]} is another user's process", pid=key[0]) from error
        finally:
            os.close(pidfd)

    def _helpers(self) -> frozenset[int]:
        if self._profiler is None:
            return frozenset()
        from straced.tracers.strace.own_helpers import own_helpers

        return own_helpers()

    async def start_trace(self, key: Key) -> TraceState:
        """Trace a process fully, until its limit of size or time, its end, or :meth:`stop_trace`.

        Raises:
            AttachError, TracerUnavailable, OutputError: nothing was traced, and no file is left.
        """
        from straced.profiling.profiler import Profiler
        from straced.tracers.strace.recording import RecordOptions
        from straced.tracers.strace.trace_file import record_into

        _same(key)
        if (running := self._traces.get(key)) is not None and not running.ended:
            return running.state()
        if self._profiler is None:
            self._profiler = Profiler("strace")
        profiler, options = self._profiler, RecordOptions(max_bytes=TRACE_MAX_BYTES, max_seconds=TRACE_MAX_S)

        async def begin(fd: int) -> StraceRecording:
            recording = await profiler.record(key[0], fd, options)
            await _same_target(key, recording)
            return recording

        output = self._new_file(key[0])
        recording = await record_into(output, begin)
        trace = self._traces[key] = _Trace(key[0], recording, output)
        self._old.append(trace)
        trace.waiter = asyncio.create_task(_until_over(trace))
        return trace.state()

    def _new_file(self, pid: int) -> OutputFile:
        from straced.linux.output_file import OutputFile

        stem = f"straced-{pid}-{time.strftime('%Y%m%d-%H%M%S')}"
        for suffix in ("", *(f"-{number}" for number in range(2, MOST_A_SECOND))):
            with contextlib.suppress(OutputExists):
                return OutputFile(self._folder / f"{stem}{suffix}.strace", make_directories=True)
        return OutputFile(self._folder / f"{stem}.strace", make_directories=True)

    async def stop_trace(self, key: Key) -> TraceState:
        """End the trace of a process, and wait until the target runs untraced."""
        trace = self._traces.get(key)
        if trace is None:
            raise AttachError(f"{key[0]} is not traced", pid=key[0])
        trace.recording.request_stop()
        await _until_over(trace)
        return trace.state()

    def traces(self) -> tuple[TraceState, ...]:
        return tuple(trace.state() for trace in self._old)

    async def close(self) -> None:
        """End all traces that run; their files stay."""
        for trace in self._old:
            if not trace.ended:
                trace.recording.request_stop()
        for trace in self._old:
            await _until_over(trace)
        if self._profiler is not None:
            await self._profiler.close()


async def _until_over(trace: _Trace) -> None:
    ending = await trace.recording.wait()
    if not trace.ended:
        trace.ended = ending.reason
        trace.output.close()


async def _same_target(key: Key, recording: StraceRecording) -> None:
    """Let go of a process that got the pid while it was attached to."""
    if recording.target.start_ticks != key[1]:
        recording.request_stop()
        await recording.wait()
        raise _gone(key)


def _same(key: Key) -> procfs.Stat:
    try:
        facts = procfs.stat(key[0])
    except procfs.Gone as error:
        raise _gone(key) from error
    if facts.start_ticks != key[1]:
        raise _gone(key)
    return facts


def _gone(key: Key) -> NoSuchProcess:
    return NoSuchProcess(f"{key[0]} has ended", pid=key[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
