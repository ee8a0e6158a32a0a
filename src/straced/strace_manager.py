"""StraceManager: the contract that a daemon codes against, a façade over ``Profiler(tracer="strace")``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straced import gating, manager_log
from straced.errors import OutputError, StracedError, StraceMissing, TracerCrashed
from straced.finished import Finished
from straced.manager_summary import TraceSummary, as_dict
from straced.model import Summary, Target
from straced.process_group import ProcessGroupManager
from straced.profiler import Profiler
from straced.session import Session
from straced.tracers import strace_binary
from straced.tracers.strace import StraceTracer

if TYPE_CHECKING:
    from straced.output_file import OutputFile
    from straced.tracers.strace_record import Recording

SHUTDOWN_GRACE_S = 2.0


class StraceManager:
    """Attaches ``strace -c`` to processes and takes full traces, and never leaves a tracer behind.

    Args:
        enabled: when false, every attach is refused, quietly.
        process_group: gets every helper to track, for the end of the daemon.
        clock: seconds that only go forward; finished summaries are kept an hour of it.

    No I/O and no process before the first attach. A forked copy is inert.
    """

    def __init__(
        self,
        enabled: bool = True,
        process_group: ProcessGroupManager | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enabled = enabled
        self._group = process_group
        self._owner = os.getpid()
        self._profiler = Profiler(tracer="strace")
        self._sessions: dict[int, Session] = {}
        self._traces: dict[int, tuple[Recording, OutputFile]] = {}
        self._starting: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._finished = Finished(clock)
        self._errors: dict[int, StracedError] = {}

    @staticmethod
    def is_available() -> bool:
        """Whether there is a usable strace on PATH, looked up now."""
        try:
            strace_binary.find()
        except (StraceMissing, OSError):
            return False
        return True

    @property
    def enabled(self) -> bool:
        """As given."""
        return self._enabled

    @property
    def attached_pids(self) -> list[int]:
        """Targets with a live summary trace, in the order attached."""
        if not self._mine:
            return []
        return [pid for pid, session in self._sessions.items() if session.alive]

    def get_strace_pids(self) -> list[int]:
        """All live strace helpers, summaries first."""
        tracer = self._profiler._tracers.get("strace") if self._mine else None
        return tracer.helper_pids if isinstance(tracer, StraceTracer) else []

    def last_error(self, pid: int) -> StracedError | None:
        """Why the last call for this pid answered False or None; ``None`` when it did not."""
        return self._errors.get(pid)

    def take_finished(self) -> list[tuple[Target, TraceSummary]]:
        """Summaries of targets that ended while attached and whose pid has been used again since, oldest first."""
        return self._finished.take_superseded()

    # --- summaries ---

    async def attach(self, pid: int, follow: bool = True, wall: bool = False) -> bool:
        """Start a ``strace -c`` summary.

        Args:
            pid: the target; all its threads are traced in any case.
            follow: its children too.
            wall: wall time instead of CPU time in the kernel.

        Returns:
            True once the kernel has confirmed the attachment; False otherwise, and :meth:`last_error` says why.
        """
        if not self._may("summary", pid):
            self._open_gate(pid)
            return False

        async def start() -> bool:
            await self._sweep()
            if pid in self._sessions:
                manager_log.debug("strace_already_attached", pid=pid)
                return True
            session = await self._profiler.attach(pid, follow=follow, time="wall" if wall else "cpu")
            self._sessions[pid] = session
            self._track(session.helper_pids)
            manager_log.info("strace_attached", pid=pid, strace_pid=_first(session.helper_pids))
            return True

        return await self._alone("summary", pid, start)

    async def detach(self, pid: int) -> TraceSummary | None:
        """Stop a summary trace and return it; ``None`` when there was none, or when strace had to be killed."""
        if not self._mine:
            return None
        session = self._sessions.pop(pid, None)
        if session is None:
            return self._finished.take(pid)
        return await self._end(pid, session)

    async def spawn(self, argv: Sequence[str | os.PathLike[str]], **popen_options: Any) -> asyncio.subprocess.Process:
        """Start a program that is traced from its first instruction. Refused or not, the program runs.

        Raises:
            CommandNotFound, ExecFailed: there is no such program.
        """
        words = [os.fspath(word) for word in argv]
        gated = gating.gate(words) if self._enabled and self.is_available() else words
        process = await asyncio.create_subprocess_exec(*gated, **popen_options)
        if gated is words:
            self._may("summary", process.pid)
            return process
        try:
            await self.attach(process.pid)
        finally:
            gating.release(process.pid)
        return process

    # --- full traces ---

    async def attach_full_trace(
        self,
        pid: int,
        output_file: Path,
        overwrite: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        filter: str | None = None,
        timestamps: str = "s",
    ) -> bool:
        """Start ``strace -f -t -p PID`` into a file of its own, mode 0600.

        A running summary of the same pid is kept, waits, and goes on when the full trace ends. A trace leaves 64 MB
        free on the disk of its file, or a twentieth of a small one.

        Args:
            pid: the target.
            output_file: a new file; folders above it are made.
            overwrite: replace an existing file, in one step.
            max_bytes: end the trace when the file is about this large.
            max_seconds: end it after this long.
            filter: a set of calls, ``openat,read`` or ``%file``.
            timestamps: ``s`` for ``-t``; ``us`` for ``-ttt -T``, with durations.

        Returns:
            True once the kernel has confirmed it; False otherwise, and :meth:`last_error` says why.
        """
        if not self._may("full", pid):
            self._open_gate(pid)
            return False

        async def start() -> bool:
            from straced.output_file import OutputFile
            from straced.tracers.strace_record import RecordOptions
            from straced.tracers.trace_file import record_into
            from straced.tracers.trace_filter import trace_set

            if pid in self._traces and self._traces[pid][0].alive:
                manager_log.debug("full_trace_already_attached", pid=pid)
                return True
            await self._close_trace(pid)
            options = RecordOptions(
                timestamps=timestamps,
                decode_fds=timestamps == "us",
                max_bytes=max_bytes,
                max_seconds=max_seconds,
                trace=trace_set(filter) if filter else None,
            )
            output = OutputFile(Path(output_file), overwrite=overwrite, make_directories=True)
            recording = await record_into(output, lambda fd: self._profiler.trace(pid, fd, options))
            self._traces[pid] = recording, output
            recording.on_end(lambda: self._note_cut(pid, recording))
            self._track(recording.helper_pids)
            strace_pid = _first(recording.helper_pids)
            manager_log.info("full_trace_attached", pid=pid, strace_pid=strace_pid, output_file=str(output_file))
            return True

        return await self._alone("full", pid, start)

    def _note_cut(self, pid: int, recording: Recording) -> None:
        from straced.tracers.strace_record import CUT

        if (cut := recording.cut) is not None and pid not in self._errors:
            self._errors[pid] = OutputError(CUT[cut], pid=pid)
            manager_log.warning("full_trace_ended", pid=pid, reason=cut, output_file=str(recording.path))

    async def detach_full_trace(self, pid: int) -> bool:
        """Stop one full trace; its file stays. False when there was none."""
        return self._mine and await self._close_trace(pid)

    async def _close_trace(self, pid: int) -> bool:
        entry = self._traces.pop(pid, None)
        if entry is None:
            return False
        recording, output = entry
        try:
            await recording.stop()
        finally:
            output.close()
        session = self._sessions.get(pid)
        if session is not None:
            await session.settled()
            self._track(session.helper_pids)
        return True

    # --- the end ---

    async def detach_all(self) -> dict[int, TraceSummary]:
        """Stop everything, within 5 s, and return the summaries gathered on the way. Idempotent."""
        if not self._mine:
            return {}
        sessions, self._sessions = self._sessions, {}
        traces, self._traces = self._traces, {}
        for recording, _output in traces.values():
            recording.request_stop("detach", SHUTDOWN_GRACE_S)
        for session in sessions.values():
            session.request_stop("detach", SHUTDOWN_GRACE_S)
        gathered: dict[int, TraceSummary] = {}

        async def end(pid: int, session: Session) -> None:
            summary = await self._end(pid, session, SHUTDOWN_GRACE_S)
            if summary is not None:
                gathered[pid] = summary

        async def stop(recording: Recording, output: OutputFile) -> None:
            try:
                await recording.stop("detach", SHUTDOWN_GRACE_S)
            finally:
                output.close()

        work = [stop(*entry) for entry in traces.values()] + [end(pid, session) for pid, session in sessions.items()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 2 * SHUTDOWN_GRACE_S)
        await self._profiler.close()
        if work:
            manager_log.info("strace_detach_all", count=len(work))
        return gathered

    async def _end(self, pid: int, session: Session, grace_s: float | None = None) -> TraceSummary | None:
        summary = await session.detach("detach", grace_s)
        if _nothing_known(summary):
            manager_log.warning("strace_detach_timeout", pid=pid)
            self._errors[pid] = TracerCrashed("strace was killed, and what it had counted is lost", pid=pid)
            return None
        self._errors.pop(pid, None)
        return as_dict(summary)

    # --- shared ---

    def _open_gate(self, pid: int) -> None:
        """A refusal never holds a program up; nothing is looked at for a number that is no pid."""
        if self._mine and isinstance(pid, int) and pid > 0:
            gating.release(pid)

    @property
    def _mine(self) -> bool:
        return os.getpid() == self._owner

    def _may(self, kind: str, pid: int) -> bool:
        suffix = "_full" if kind == "full" else ""
        if not self._mine:
            return False
        if not self._enabled:
            manager_log.debug("strace_disabled" + suffix, pid=pid)
            self._errors[pid] = StracedError("straced is disabled", pid=pid)
            return False
        try:
            strace_binary.find()
        except (StraceMissing, OSError) as error:
            manager_log.warning("strace_not_available" + suffix, pid=pid)
            self._errors[pid] = error if isinstance(error, StracedError) else StraceMissing(str(error), pid=pid)
            return False
        return True

    async def _alone(self, kind: str, pid: int, start: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
        """Run ``start`` while nobody else starts the same; a failure becomes False, a log line and a typed error."""
        key = kind, pid
        while (other := self._starting.get(key)) is not None:
            await asyncio.shield(other)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting[key] = turn
        try:
            done = await start()
        except StracedError as error:
            self._errors[pid] = error
            manager_log.refusal(kind, pid, error)
            return False
        else:
            self._errors.pop(pid, None)
            return done
        finally:
            del self._starting[key]
            turn.set_result(None)

    async def _sweep(self) -> None:
        """Sessions that ended by themselves become finished summaries, kept until asked for."""
        for pid, session in list(self._sessions.items()):
            if not session.alive:
                del self._sessions[pid]
                summary = await self._end(pid, session)
                if summary is not None:
                    self._finished.keep(session.target, summary)

    def _track(self, pids: Sequence[int]) -> None:
        if self._group is not None:
            for pid in pids:
                self._group.track(pid, helper=True)


def _first(pids: Sequence[int]) -> int | None:
    return pids[0] if pids else None


def _nothing_known(summary: Summary) -> bool:
    return summary.quality.lost is None and not summary.rows
