"""The full traces of a profiler: into a file, in strace's format or as records, by whichever tracer may."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from straced import gating
from straced.concurrency.shielding import attempt
from straced.model.choices import Timestamps, TraceTracer
from straced.profiling import full_traces, handover, tracer_choice
from straced.profiling.arguments import check_trace
from straced.profiling.profiler_base import ProfilerBase

if TYPE_CHECKING:
    from straced.linux.output_file import OutputFile
    from straced.profiling.kernel_recording import KernelRecording, RecordingOutput, RecordsWanted
    from straced.tracers.base import Rights
    from straced.tracers.recording import Recording
    from straced.tracers.strace.recording import RecordOptions, StraceRecording


class TracingProfiler(ProfilerBase):
    """The part of a profiler that writes down calls."""

    async def trace(
        self,
        pid: int,
        path: str | os.PathLike[str],
        *,
        tracer: TraceTracer = "auto",
        overwrite: bool = False,
        follow: bool = True,
        timestamps: Timestamps = "us",
        decode_fds: bool = True,
        string_bytes: int | None = None,
        filter: str | None = None,
        paths: Sequence[str] = (),
        failed_only: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        min_free_bytes: int | None = None,
        force: bool = False,
    ) -> Recording:
        """Write every call of a process into a new file, a line each, in the format of strace(1), or as records.

        A file whose name ends in ``.strc`` has records, which ``straced report`` reads. A strace that counts the target
        hands it over for a trace by strace, and goes on counting afterwards. Asked for together with :meth:`attach`,
        before a gate opens, both begin at the first instruction. The file has mode 0600; it has its name once the
        tracer is attached, and is complete when the recording is over.

        Args:
            pid: the process; the id of a thread means its process.
            path: the file.
            tracer: ``ebpf`` records in the kernel, and the target is hardly slowed down; ``strace`` has the contents of
                buffers, too; ``auto`` takes the first that may, unless ``paths`` or ``string_bytes`` ask for the other.
            overwrite: replace an existing file, in one step.
            follow: its children too, those that exist and those to come.
            timestamps: ``us`` for ``-ttt -T``, with durations; ``s`` for ``-t``.
            decode_fds: the file or socket behind each descriptor (``-yy``; not with ``s``).
            string_bytes: how much of each string is shown (``-s``): 128 of strace where left out, none by eBPF.
            filter: a set of calls, ``openat,read`` or ``%file``; all when left out.
            paths: only calls on these files (``-P``, strace).
            failed_only: only calls that fail (``-Z``).
            max_bytes: end the trace when the file is about this large.
            max_seconds: end it after this many seconds.
            min_free_bytes: bytes that the file leaves free on its file system; by default 64 MB, on a small one a
                twentieth of it.
            force: allow the host's pid 1.

        Returns:
            The recording, which runs until the target or a limit ends it, or :meth:`Recording.stop` does.

        Raises:
            InvalidArgument: no process can have this number, the filter names no call, or a limit is none.
            OutputError: the file cannot be made, or its disk is nearly full. Nothing was traced.
            OutputExists: there is such a file, and ``overwrite`` is off.
            AttachError: the process runs on, untraced, and there is no file.
            TracerUnavailable: none can serve, or not the one asked for; there is no file.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        from straced.linux.output_file import OutputFile
        from straced.profiling.kernel_recording import RecordsWanted
        from straced.tracers.strace.filters import trace_set
        from straced.tracers.strace.recording import RecordOptions
        from straced.tracers.strace.trace_file import close_whole, record_into

        check_trace(timestamps, string_bytes, max_bytes, max_seconds, min_free_bytes, tracer)
        of_strace = "paths" if paths else "string_bytes" if string_bytes is not None else ""
        binary = Path(path).suffix == ".strc"
        order = tracer_choice.for_trace(tracer, self._wanted, of_strace, binary=binary)
        options = RecordOptions(
            follow=follow,
            timestamps=timestamps,
            decode_fds=decode_fds and timestamps == "us",
            string_bytes=128 if string_bytes is None else string_bytes,
            trace=trace_set(filter) if filter else None,
            paths=tuple(paths),
            status="failed" if failed_only else None,
            max_bytes=max_bytes,
            max_seconds=max_seconds,
            min_free_bytes=min_free_bytes,
            max_tasks=self._options.max_tasks,
            force=force,
        )
        self._owner.enter()
        output = OutputFile(Path(path), overwrite=overwrite)

        async def start() -> Recording:
            try:
                with gating.asking(pid, gating.TRACE) as ask:
                    made: Recording = await full_traces.by_order(
                        order,
                        lambda: self._by_records(pid, output, options, ask, RecordsWanted(binary=binary)),
                        lambda: record_into(output, lambda fd: self.record(pid, fd, options)),
                    )
            except BaseException:
                output.discard()
                raise
            made.when_over(lambda: close_whole(made, output))
            return made

        return await attempt(start(), lambda made: self._undo_trace(made, output), self._attempts)

    async def record(self, pid: int, output: int | None, options: RecordOptions) -> StraceRecording:
        """Start a full trace by strace into a descriptor, or into pipes; see :meth:`trace`.

        Args:
            pid: the process.
            output: a descriptor to write to, or ``None`` for lines out of ``StraceRecording.readers``.
            options: what the trace holds, and when it ends by itself.

        Returns:
            The recording.

        Raises:
            InvalidArgument: no process can have this number.
            AttachError: the process runs on, untraced.
            TracerUnavailable: there is no usable strace.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        self._owner.enter()
        with gating.asking(pid, gating.TRACE) as ask:
            work = full_traces.record(self._tracers, self._sessions, pid, output, options, ask)
            return await attempt(work, lambda recording: full_traces.recall(recording, self.sessions), self._attempts)

    async def record_calls(
        self,
        pid: int,
        output: RecordingOutput,
        options: RecordOptions,
        *,
        binary: bool,
        user: Rights | None = None,
        ring_bytes: int | None = None,
    ) -> KernelRecording:
        """Start a full trace by eBPF into a file; see :meth:`trace`.

        Args:
            pid: the process.
            output: stays the caller's, to be closed at the end of the trace; it has its name on return.
            options: what the trace holds, and when it ends by itself.
            binary: records as they are, and no lines.
            user: record only what is wholly theirs.
            ring_bytes: memory of each CPU; as much as is usual where left out.

        Returns:
            The recording.

        Raises:
            InvalidArgument: no process can have this number, or only strace knows these calls.
            OutputError: the file cannot have its name, or its disk is nearly full.
            AttachError: the process runs on, untraced.
            TracerUnavailable: eBPF cannot serve here.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        from straced.profiling.kernel_recording import RecordsWanted

        self._owner.enter()
        wanted = RecordsWanted(binary=binary, user=user, ring_bytes=ring_bytes)
        with gating.asking(pid, gating.TRACE) as ask:
            return await attempt(self._by_records(pid, output, options, ask, wanted), _stop, self._attempts)

    async def settled(self, pid: int) -> None:
        """Wait until full traces of a process that have ended have given it back to the sessions that count it.

        Args:
            pid: the process.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        self._owner.enter()
        for session in list(self._sessions.get(pid, [])):
            await handover.settled(session)

    async def _undo_trace(self, made: Recording, output: OutputFile) -> None:
        from straced.tracers.strace.recording import StraceRecording

        output.discard()
        if isinstance(made, StraceRecording):
            await full_traces.recall(made, self.sessions)
        else:
            await made.stop()

    async def _by_records(
        self, pid: int, output: RecordingOutput, options: RecordOptions, ask: gating.Ask, wanted: RecordsWanted
    ) -> KernelRecording:
        from straced.profiling import kernel_recording

        recording = await kernel_recording.record(pid, output, options, ask, wanted)
        self._recordings.add(recording)
        recording.when_over(lambda: self._recordings.discard(recording))
        return recording


async def _stop(recording: KernelRecording) -> None:
    await recording.stop()
