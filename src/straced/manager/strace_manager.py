"""StraceManager: the contract that a daemon codes against, a façade over ``Profiler(tracer="strace")``."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from straced import gating
from straced.concurrency import children
from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import attempt, carry, running_loop
from straced.errors import AlreadyTraced, StracedError, resources
from straced.manager import admission, log_events
from straced.manager.admission import Admission, process_of
from straced.manager.ending_all import end_all
from straced.manager.full_traces import FullTrace, FullTraces
from straced.manager.last_errors import LastErrors
from straced.manager.live_figures import LiveFigures
from straced.manager.pending_starts import PendingStarts
from straced.manager.process_group import ProcessGroupManager
from straced.manager.summary_traces import SummaryTraces
from straced.manager.trace_summary import TraceSummary, as_dict
from straced.model.choices import Timestamps
from straced.model.types import Target
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session

if TYPE_CHECKING:
    from straced.tracers.strace.recording import StraceRecording


class StraceManager:
    """Attach ``strace -c`` to processes and take full traces, and never leave a tracer behind.

    Args:
        enabled: when false, every attach is refused, quietly.
        process_group: gets every helper to track, for the end of the daemon.
        clock: seconds that only go forward; finished summaries are kept an hour of it.
        live: count by eBPF beside strace from the attach on, for :meth:`read`; where that cannot be, without a word.

    No I/O and no process before the first attach. A forked copy of one in use is inert: :meth:`last_error` is a
    ForkedCopy then. Every coroutine may be cancelled at any moment: an attach or a spawn is undone, a detach is carried
    out, and what it found is returned by the next one.
    """

    def __init__(
        self,
        enabled: bool = True,
        process_group: ProcessGroupManager | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        live: bool = False,
    ) -> None:
        self._group = process_group
        self._owner = OwnerBinding("StraceManager")
        self._profiler = Profiler(tracer="strace")
        self._errors = LastErrors()
        self._admission = Admission(self._owner, enabled, self._errors)
        self._starts = PendingStarts(self._errors, self._open_gate)
        self._traces = FullTraces(self._profiler, self._errors)
        self._live = LiveFigures(live)
        self._summaries = SummaryTraces(self._live, self._errors, clock)
        self._unclaimed: dict[int, TraceSummary] = {}
        """What a :meth:`detach_all` found that was cancelled."""

    @staticmethod
    def is_available() -> bool:
        """Look whether there is a usable strace on PATH, now.

        Returns:
            Whether there is one.
        """
        return admission.is_available()

    @property
    def enabled(self) -> bool:
        """Whether attaching is allowed."""
        return self._admission.enabled

    @property
    def attached_pids(self) -> list[int]:
        """The pids of targets with a live summary trace, in the order attached."""
        return self._summaries.alive if self._mine else []

    def get_strace_pids(self) -> list[int]:
        """List the live strace helpers.

        Returns:
            Their pids, those of summaries first.
        """
        return self._profiler.strace_pids if self._mine else []

    @property
    def helper_pids(self) -> list[int]:
        """The pids of all processes started to observe: the straces, their guard, and what it keeps ready."""
        return self._profiler.helper_pids if self._mine else []

    def last_error(self, pid: int) -> StracedError | None:
        """Tell why the last call for a pid answered False or None.

        Args:
            pid: as it was given to that call.

        Returns:
            The error; ``None`` when the call did what it was to do. 1,000 are kept.
        """
        return self._errors.get(pid)

    def take_finished(self) -> list[tuple[Target, TraceSummary]]:
        """Take the summaries of targets that ended while attached and whose pid was attached to again since.

        Returns:
            Each once, oldest first, at most 1,000 of the last hour; the newest of a pid is :meth:`detach`'s.
        """
        return self._summaries.finished.take_superseded()

    # --- summaries ---

    async def attach(self, pid: int, follow: bool = True, wall: bool = False) -> bool:
        """Start a ``strace -c`` summary.

        Args:
            pid: the target; all its threads are traced in any case. The id of a thread means its process.
            follow: its children too.
            wall: wall time instead of CPU time in the kernel.

        Returns:
            True once the kernel has confirmed the attachment; False otherwise, and :meth:`last_error` says why. True
            as well for a process that the trace of another target follows already, and for straced's own helpers:
            there is nothing to do for them, and nothing to detach.
        """
        if not self._admission.may_start("summary", pid):
            self._open_gate(pid)
            return False
        pid = process_of(pid)
        made: list[Session] = []

        async def start() -> bool:
            await self._summaries.sweep()
            if pid in self._summaries.sessions:
                log_events.debug("strace_already_attached", pid=pid)
                return True
            if self._summaries.covers(pid, self._traces.recordings):
                return True
            try:
                session = await self._profiler.attach(pid, follow=follow, time="wall" if wall else "cpu")
            except AlreadyTraced:
                await self._starts.of_ancestors(pid)
                if self._summaries.covers(pid, self._traces.recordings):
                    return True
                raise
            made.append(session)
            self._summaries.add(pid, session)
            self._track(session.helper_pids)
            log_events.info("strace_attached", pid=pid, strace_pid=_first(session.helper_pids))
            if self._live.wanted:
                try:
                    await self._live.begin(session)
                except BaseException:
                    await undo(True)
                    raise
            return True

        async def undo(_attached: bool) -> None:
            for session in made:
                self._summaries.sessions.pop(pid, None)
                await session.detach("cancelled")

        return await self._starts.alone("summary", pid, start, undo)

    async def detach(self, pid: int) -> TraceSummary | None:
        """Stop a summary trace, and sum it up. Once begun it is done; what a cancelled call found, the next returns.

        Args:
            pid: the target, or one of its threads.

        Returns:
            The summary; ``None`` when there was none, also because another target's trace covers this process, and when
            strace was killed with all that it had counted, which :meth:`last_error` tells.
        """
        if not self._admission.may_use(pid):
            return None
        summaries = self._summaries
        session = summaries.sessions.pop(pid := process_of(pid), None)
        if session is None:
            return summaries.finished.take(pid) or self._unclaimed.pop(pid, None)
        try:
            return await carry(summaries.end(pid, session), lambda summary: summaries.keep(session, summary))
        except StracedError as error:  # no descriptor to read a trace back with, say: it can be tried again
            summaries.sessions.setdefault(pid, session)
            self._errors[pid] = error
            log_events.warning("strace_detach_failed", pid=pid, error=error.reason, code=error.code)
            return None

    async def read(self, pid: int) -> TraceSummary | None:
        """Sum up a running summary trace so far, without detaching.

        strace tells none before its end, so eBPF counts the same target beside it where it can be had: from the first
        read of this manager on, and every later target from its attach on (or all, with ``live``). The quality says
        from when, under ``since``.

        Args:
            pid: the target, or one of its threads.

        Returns:
            As :meth:`detach`, with ``end`` being ``running``; ``None`` without a live summary of this pid, and where
            eBPF cannot be had.
        """
        if not self._admission.may_use(pid):
            return None
        session = self._summaries.sessions.get(process_of(pid))
        summary = await self._live.summary(session) if session is not None and session.alive else None
        return as_dict(summary) if summary is not None else None

    async def spawn(self, argv: Sequence[str | os.PathLike[str]], **popen_options: Any) -> asyncio.subprocess.Process:
        """Start a program that is traced from its first instruction. Refused or not, the program runs.

        Cancelled, it ends the program and waits for it, as ``asyncio.create_subprocess_exec`` does.

        Args:
            argv: the program, as a path or looked up on PATH, and its arguments.
            popen_options: as for ``asyncio.create_subprocess_exec``: ``stdin``, ``cwd``, ``env`` and so on.

        Returns:
            The program, the caller's own. :meth:`last_error` of its pid says why it is not traced, if it is not.

        Raises:
            CommandNotFound: there is no such program.
            ExecFailed: it is not executable.
            NoResources: it cannot be started now.
            NoEventLoop: no asyncio loop runs here.
        """
        running_loop()
        words = [os.fspath(word) for word in argv]
        with resources():
            gated = gating.gate(words) if self._admission.enabled and self._mine and self.is_available() else words

        async def start() -> asyncio.subprocess.Process:
            process = await children.start(gated, popen_options)
            gating.remember(process.pid)
            if gated is words:
                self._admission.may_start("summary", process.pid)
                return process
            try:
                await self.attach(process.pid)
            except BaseException:
                await children.end(process)
                raise
            finally:
                self._open_gate(process.pid)
            return process

        async def undo(process: asyncio.subprocess.Process) -> None:
            await children.end(process)
            await self.detach(process.pid)

        return await attempt(start(), undo)

    # --- full traces ---

    async def attach_full_trace(
        self,
        pid: int,
        output_file: Path,
        overwrite: bool = False,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        filter: str | None = None,
        timestamps: Timestamps = "s",
    ) -> bool:
        """Start ``strace -f -t -p PID`` into a file of its own, mode 0600.

        A running summary of the same pid is kept, waits, and goes on when the full trace ends; one of a program behind
        a gate, asked for at the same time, begins with it. A trace leaves 64 MB free on the disk of its file, or a
        twentieth of a small one.

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
        if not self._admission.may_start("full", pid):
            self._open_gate(pid)
            return False
        pid = process_of(pid)
        made: list[StraceRecording] = []

        async def start() -> bool:
            from straced.tracers.strace.filters import trace_set
            from straced.tracers.strace.recording import RecordOptions

            if self._traces.has_alive(pid):
                log_events.debug("full_trace_already_attached", pid=pid)
                return True
            await self._close_trace(pid)
            options = RecordOptions(
                timestamps=timestamps,
                decode_fds=timestamps == "us",
                max_bytes=max_bytes,
                max_seconds=max_seconds,
                trace=trace_set(filter) if filter else None,
            )
            recording = await self._traces.start(pid, Path(output_file), options, overwrite=overwrite)
            made.append(recording)
            self._track(recording.helper_pids)
            strace_pid = _first(recording.helper_pids)
            log_events.info("full_trace_attached", pid=pid, strace_pid=strace_pid, output_file=str(output_file))
            return True

        async def undo(_attached: bool) -> None:
            if made and self._traces.discard(pid):
                await self._close_trace(pid)

        return await self._starts.alone("full", pid, start, undo)

    async def detach_full_trace(self, pid: int) -> bool:
        """Stop one full trace; its file stays. Once begun it is done, whether or not the caller is cancelled.

        Args:
            pid: the target, or one of its threads.

        Returns:
            Whether there was one.

        Raises:
            NoResources: there is no descriptor to read the trace back with; the target runs on, untraced.
            TimeoutError: strace did not end, though it was killed.
        """
        return self._admission.may_use(pid) and await carry(self._close_trace(process_of(pid)))

    async def _close_trace(self, pid: int) -> bool:
        if not await self._traces.stop(pid):
            return False
        session = self._summaries.sessions.get(pid)
        if session is not None:
            await self._profiler.settled(pid)
            self._track(session.helper_pids)
        return True

    # --- the end ---

    async def detach_all(self) -> dict[int, TraceSummary]:
        """Stop everything, within 5 s. Idempotent; once begun it is done, whether or not the caller is cancelled.

        Returns:
            The summaries gathered on the way, by target, those of an earlier call that was cancelled too.

        Raises:
            NoEventLoop: no asyncio loop runs here, or another one uses this manager.
            NoResources: there is no descriptor left to end all with.
        """
        if not self._mine:
            return {}
        if self._summaries.sessions or self._traces:
            self._owner.enter()
        sessions, traces = self._summaries.take_all(), self._traces.take_all()
        gathered, self._unclaimed = self._unclaimed, {}
        return await carry(self._end_all(sessions, traces, gathered), self._unclaimed.update)

    async def _end_all(
        self, sessions: dict[int, Session], traces: Sequence[FullTrace], gathered: dict[int, TraceSummary]
    ) -> dict[int, TraceSummary]:
        await end_all(self._summaries, sessions, traces, gathered)
        await self._live.close()
        await self._profiler.close()
        if sessions or traces:
            log_events.info("strace_detach_all", count=len(sessions) + len(traces))
        return gathered

    def _open_gate(self, pid: int) -> None:
        """A refusal never holds a program up; nothing is looked at for a number that is no pid."""
        if self._mine and isinstance(pid, int) and pid > 0:
            gating.refused(pid)

    @property
    def _mine(self) -> bool:
        return self._owner.here

    def _track(self, pids: Sequence[int]) -> None:
        if self._group is not None:
            for pid in pids:
                try:
                    self._group.track(pid, helper=True)
                except StracedError as error:  # it is ended with its owner all the same, by its guard
                    log_events.warning("strace_not_tracked", pid=pid, error=error.reason)


def _first(pids: Sequence[int]) -> int | None:
    return pids[0] if pids else None
