"""The full traces of a manager: each has a file of its own, and how it ended is noted down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from straced.errors import OutputError
from straced.manager import endings, log_events
from straced.manager.last_errors import LastErrors
from straced.profiling.profiler import Profiler

if TYPE_CHECKING:
    from straced.linux.output_file import OutputFile
    from straced.tracers.strace.recording import RecordOptions, StraceRecording


class FullTrace:
    """A full trace with its file."""

    def __init__(self, recording: StraceRecording, output: OutputFile) -> None:
        self.recording = recording
        self.output = output

    async def stop(self, grace_s: float | None = None) -> None:
        """Let go of the target; the file stays."""
        try:
            await self.recording.end("detach", grace_s)
        finally:
            self.output.close()


class FullTraces:
    """Those that run, and those that have ended and were not asked about since, one a target.

    Args:
        profiler: starts them.
        errors: is told why one ended that should not have.
    """

    def __init__(self, profiler: Profiler, errors: LastErrors) -> None:
        self._profiler = profiler
        self._errors = errors
        self._traces: dict[int, FullTrace] = {}

    def __bool__(self) -> bool:
        return bool(self._traces)

    @property
    def recordings(self) -> dict[int, StraceRecording]:
        """By target."""
        return {pid: trace.recording for pid, trace in self._traces.items()}

    def has_alive(self, pid: int) -> bool:
        """Whether one of this target runs."""
        return pid in self._traces and self._traces[pid].recording.alive

    async def start(self, pid: int, path: Path, options: RecordOptions, *, overwrite: bool) -> StraceRecording:
        """Start one into a new file; the one before of this target is to be stopped first.

        Raises:
            AttachError, TracerUnavailable: as :meth:`Profiler.record`.
            OutputError: the file cannot be made.
        """
        from straced.linux.output_file import OutputFile
        from straced.tracers.strace.trace_file import record_into

        output = OutputFile(path, overwrite=overwrite, make_directories=True)
        recording = await record_into(output, lambda fd: self._profiler.record(pid, fd, options))
        self._traces[pid] = FullTrace(recording, output)
        recording.when_over(output.close)
        recording.on_end(lambda: self._note_cut(pid, recording))
        return recording

    def _note_cut(self, pid: int, recording: StraceRecording) -> None:
        from straced.tracers.strace.recording import OUTPUT_ERRORS

        if (cut := recording.cut) is not None and pid not in self._errors:
            self._errors[pid] = error = OutputError(OUTPUT_ERRORS[cut], pid=pid)
            path = str(recording.path)
            log_events.warning("full_trace_ended", pid=pid, reason=cut, output_file=path, error=error.reason)
        elif recording.crash is not None:
            self._errors[pid] = endings.crashed("full_trace_crashed", pid, recording.crash)

    def discard(self, pid: int) -> bool:
        """Have the file of a trace go with it, when that is stopped; whether there is one."""
        trace = self._traces.get(pid)
        if trace is not None:
            trace.output.discard()
        return trace is not None

    async def stop(self, pid: int) -> bool:
        """Let go of a target; the file stays. False when there was no trace of it."""
        trace = self._traces.pop(pid, None)
        if trace is not None:
            await trace.stop()
        return trace is not None

    def take_all(self) -> list[FullTrace]:
        """All of them; they are for the caller to stop."""
        traces, self._traces = self._traces, {}
        return list(traces.values())
