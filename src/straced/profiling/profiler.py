"""Profiler: picks a tracer and says why, and owns the sessions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import replace

from straced import gating
from straced.concurrency import children
from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Operation, all_done, attempt, carry
from straced.model.choices import TimeKind, Timestamps, TracerName, TraceTracer
from straced.model.types import Sample
from straced.profiling import attaching, full_traces, handover, readings, tracer_choice
from straced.profiling.arguments import check_budgets, check_limit, check_time, check_trace, check_tracer
from straced.profiling.attaching import AttachedTarget
from straced.profiling.limits import watch_limits
from straced.profiling.session import Session
from straced.profiling.tracer_set import TracerSet, despite_errors
from straced.tracers.base import AttachOptions, ChildTracer, Rights

if TYPE_CHECKING:
    from straced.linux.output_file import OutputFile
    from straced.profiling.api import AsyncEvents, AsyncProfiler, AsyncRecording, AsyncSession
    from straced.profiling.kernel_recording import KernelRecording, RecordingOutput
    from straced.tracers.event_stream import EventStream
    from straced.tracers.recording import Recording
    from straced.tracers.strace.recording import RecordOptions, StraceRecording

GIVING_UP_S = 5.0
"""How long attaches that are under way at :meth:`Profiler.close` may take to let go."""


class Profiler:
    """Attach to processes, and own what that takes. Nothing is opened until the first attach.

    It belongs to the process and to the event loop that first use it; a copy that a forked child has is inert. Every
    coroutine may be cancelled at any moment: an attach that is cancelled is undone, and a close is carried out. Leaving
    it as an ``async with`` block closes it.

    Args:
        tracer: ``auto``, ``ebpf``, ``strace`` or ``sampler``. One asked for by name never falls back.
        max_overhead_pct: detach a session when the estimated slowdown of its target exceeds this, in per cent.
        max_tasks: the most tasks of one target to put under ptrace(2).
        max_rows: different calls over all processes that eBPF has room for, 704 bytes each; else its default.
        user_share: how much of that the processes of one user may have, 0 to 1, unless that is root.
        max_per_process: how many sessions may count one process at a time by eBPF; else its default, 8.

    Raises:
        InvalidArgument: there is no such tracer, or a limit is none.
    """

    def __init__(
        self,
        tracer: TracerName = "auto",
        *,
        max_overhead_pct: float | None = None,
        max_tasks: int = 1000,
        max_rows: int | None = None,
        user_share: float = 1.0,
        max_per_process: int | None = None,
    ) -> None:
        self._wanted = check_tracer(tracer)
        check_budgets(max_overhead_pct, max_tasks)
        self._options = AttachOptions(max_overhead_pct=max_overhead_pct, max_tasks=max_tasks)
        given = {"rows": max_rows, "instances": max_per_process}
        self._tracers = TracerSet(user_share=user_share, **{k: v for k, v in given.items() if v is not None})
        self._sessions: dict[int, list[Session]] = {}
        self._recordings: set[KernelRecording] = set()
        self._attempts: set[Operation[Any]] = set()
        self._owner = OwnerBinding("Profiler")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def mine(self) -> bool:
        """Whether this is no forked copy, which is inert. One that was not in use before the fork is none."""
        return self._owner.here

    @property
    def wanted(self) -> TracerName:
        """The tracer that was asked for, or ``auto``."""
        return self._wanted

    @property
    def sessions(self) -> list[Session]:
        """The sessions that have not ended, in the order attached; none of them is a forked copy's."""
        if not self.mine:
            return []
        return [session for group in self._sessions.values() for session in group]

    @property
    def helper_pids(self) -> list[int]:
        """The pids of all processes that straced started to observe: straces, their guard and what it keeps ready."""
        return [pid for tracer in self._tracers.made for pid in tracer.process_pids] if self.mine else []

    @property
    def strace_pids(self) -> list[int]:
        """The pids of the straces that have a target now, those that count first, each in the order attached."""
        using_ptrace = [tracer for tracer in self._tracers.made if tracer.uses_ptrace] if self.mine else []
        return [pid for tracer in using_ptrace for pid in tracer.helper_pids]

    # --- counting ---

    async def load(self, *, slow_calls: bool = False, files: bool = False) -> None:
        """Load what an attach will need, so that a gate that is started now waits for the attach alone.

        For who starts programs by :func:`straced.gate`; :meth:`spawn` does it by itself. Nothing is raised when eBPF is
        refused: the attach says so, or goes on to the next tracer.

        Args:
            slow_calls: it will have a limit (``slower_than``).
            files: it will want sums by file.

        Raises:
            NoResources: there is no descriptor left to do it with.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        self._owner.enter()
        options = AttachOptions(slower_ns=0 if slow_calls else None, files=files)
        await carry(tracer_choice.load(self._wanted, self._tracers.get, options))

    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        force: bool = False,
        per_thread: bool = False,
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
    ) -> Session:
        """Start counting what a process does; returns once the kernel has confirmed it. Opens a waiting gate.

        ``auto`` takes the next tracer when the kernel refuses one at the attempt. The last, for a program behind a gate
        only, is the sampler, which estimates times and counts nothing. ``auto`` never puts ptrace on a process that
        straced did not start.

        Args:
            pid: the process; the id of a thread means its process, which ``session.target.pid`` is then.
            follow: its children too, those that exist and those to come. All threads are counted in any case.
            labels: kept with every summary.
            time: ``wall``, or ``cpu`` for CPU time in the kernel (plain ``strace -c``, see strace(1)); eBPF tells both.
            force: allow the host's pid 1.
            per_thread: rows of each thread (eBPF).
            slower_than: tell each call of so many seconds or more, with its file or peer (eBPF).
            waits: those that are made to wait (``epoll_wait``, ``futex``, ...), too.
            files: add calls up by file and peer, too (eBPF): ``Summary.files``.
            io_uring: count requests of io_uring, too (eBPF): ``Summary.io_uring``.

        Returns:
            The session, also among :attr:`sessions` until it ends.

        Raises:
            InvalidArgument: no process or time can be called that, or be a limit.
            AttachError: the process runs on, untraced; ``reason`` and ``hint`` say why.
            TracerUnavailable: no tracer can serve.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here (under trio, say), or another one uses this profiler.
        """
        options = AttachOptions(
            follow=follow,
            time=time,
            force=force,
            per_thread=per_thread,
            slower_ns=check_limit(slower_than, self._wanted),
            slow_waits=waits,
            files=files,
            io_uring=io_uring,
        )
        return await self.attach_for(None, pid, options, labels)

    async def attach_for(
        self,
        user: Rights | None,
        pid: int,
        options: AttachOptions,
        labels: dict[str, str] | None = None,
        *,
        required: bool = False,
    ) -> Session:
        """Attach on behalf of another user, or in place of a program that must not run uncounted.

        Args:
            user: count only what is wholly theirs (eBPF).
            pid: as for :meth:`attach`.
            options: what to attach to; the limits and the user in it are set here.
            labels: kept with every summary.
            required: no estimates, and a gate stays shut when the attach fails: whoever started it ends or opens it.

        Returns:
            The session.

        Raises:
            InvalidArgument: no process or time can be called that.
            AttachError: the process runs on, untraced.
            TracerUnavailable: no tracer can serve.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        check_time(options.time)
        self._owner.enter()
        limits = self._options
        options = replace(options, max_tasks=limits.max_tasks, max_overhead_pct=limits.max_overhead_pct, user=user)
        with gating.asking(pid, gating.COUNTS) as ask:
            return await attempt(self._attach(pid, options, labels, ask, required), _let_go, self._attempts)

    async def _attach(
        self, pid: int, options: AttachOptions, labels: dict[str, str] | None, ask: gating.Ask, required: bool
    ) -> Session:
        def lent() -> set[StraceRecording | None]:
            return {session.recording for session in self.sessions}

        attached = await attaching.attach(self._tracers, self._wanted, pid, options, ask, lent, required=required)
        return self._own(Session(attached, options, dict(labels or {}), self._forget, watch_limits))

    async def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> Session:
        """Count all that a process starts from now on, but not the process itself (eBPF).

        Args:
            of: its pid; this process when left out.
            labels: kept with every summary.

        Returns:
            A session whose target is the parent; it ends with that.

        Raises:
            AttachError: there is no such process, or it may not be traced.
            TracerUnavailable: eBPF cannot serve here, and nothing else can do this.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        return await self.watch_children_for(None, of, labels)

    async def watch_children_for(
        self, user: Rights | None, of: int | None = None, labels: dict[str, str] | None = None
    ) -> Session:
        """Watch children on behalf of another user.

        Args:
            user: count only what is wholly theirs.
            of: as for :meth:`watch_children`.
            labels: kept with every summary.

        Returns:
            As :meth:`watch_children`.

        Raises:
            AttachError: there is no such process, or it may not be traced.
            TracerUnavailable: eBPF cannot serve here.
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        self._owner.enter()
        work = self._watch_children(os.getpid() if of is None else of, user, labels)
        return await attempt(work, _let_go, self._attempts)

    async def _watch_children(self, of: int, user: Rights | None, labels: dict[str, str] | None) -> Session:
        tracer = self._tracers.get("ebpf")
        available = tracer.probe()
        if available.error is not None:
            raise available.error
        assert isinstance(tracer, ChildTracer)
        inner = await tracer.mark_children(of, user)
        attached = AttachedTarget(target=inner.target, tracer=tracer, tracer_reason="asked for", inner=inner)
        return self._own(Session(attached, AttachOptions(user=user), dict(labels or {}), self._forget))

    async def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: TimeKind = "wall",
        slower_than: float | None = None,
        waits: bool = False,
        files: bool = False,
        io_uring: bool = False,
        **popen_options: Any,
    ) -> Session:
        """Start a program that is counted from its first instruction; ``session.process`` is the caller's own.

        Cancelled, it ends the program and waits for it, as ``asyncio.create_subprocess_exec`` does.

        Args:
            argv: the program, as a path or looked up on PATH, and its arguments.
            follow: as for :meth:`attach`.
            labels: as for :meth:`attach`.
            time: as for :meth:`attach`.
            slower_than: as for :meth:`attach`.
            waits: as for :meth:`attach`.
            files: as for :meth:`attach`.
            io_uring: as for :meth:`attach`.
            popen_options: as for ``asyncio.create_subprocess_exec``: ``stdin``, ``cwd``, ``env`` and so on.

        Returns:
            The session.

        Raises:
            InvalidArgument: no time can be called that, or be a limit; nothing was started.
            CommandNotFound: there is no such program; nothing was started.
            ExecFailed: it is not executable; nothing was started.
            AttachError: not counted; the program runs all the same, ``error.process`` is it.
            TracerUnavailable: likewise.
            ForkedCopy: this is a copy in a forked child; nothing was started.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        check_time(time)
        check_limit(slower_than, self._wanted)
        self._owner.enter()

        async def start() -> Session:
            gated = gating.gate(argv)
            needs = AttachOptions(slower_ns=None if slower_than is None else 0, files=files)
            await tracer_choice.load(self._wanted, self._tracers.get, needs)
            process = await children.start(gated, popen_options)
            gating.remember(process.pid)
            try:
                session = await self.attach(
                    process.pid,
                    follow=follow,
                    labels=labels,
                    time=time,
                    slower_than=slower_than,
                    waits=waits,
                    files=files,
                    io_uring=io_uring,
                )
            except asyncio.CancelledError:
                await children.end(process)
                raise
            except Exception as error:
                error.process = process  # type: ignore[attr-defined]
                raise
            session.process = process
            return session

        return await attempt(start(), _end)

    async def read_all(self, *, sums: bool = False) -> dict[Session, Sample]:
        """Read the raw counters of every session that tells any while it runs.

        One reading serves all sessions of a tracer that has that. Sessions of strace, which speaks at its end only, and
        those that end in this very moment are left out.

        Args:
            sums: for one reader who compares its readings by process (``CounterRows.moved_since``): rows are decoded
                when they are looked at, where a tracer can do that.

        Returns:
            The sample of each session.

        Raises:
            ForkedCopy: this is a copy in a forked child.
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
        """
        self._owner.enter()
        return await readings.read_all(self._tracers.made, self.sessions, sums=sums)

    # --- full traces ---

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
                        lambda: self._by_records(pid, output, options, ask, binary=binary),
                        lambda: record_into(output, lambda fd: self.record(pid, fd, options)),
                    )
            except BaseException:
                output.discard()
                raise
            made.when_over(lambda: close_whole(made, output))
            return made

        return await attempt(start(), lambda made: self._undo_trace(made, output), self._attempts)

    async def _undo_trace(self, made: Recording, output: OutputFile) -> None:
        from straced.tracers.strace.recording import StraceRecording

        output.discard()
        if isinstance(made, StraceRecording):
            await full_traces.recall(made, self.sessions)
        else:
            await made.stop()

    async def _by_records(
        self,
        pid: int,
        output: RecordingOutput,
        options: RecordOptions,
        ask: gating.Ask,
        *,
        binary: bool,
        user: Rights | None = None,
        ring_bytes: int | None = None,
    ) -> KernelRecording:
        from straced.profiling import kernel_recording

        recording = await kernel_recording.record(
            pid, output, options, ask, binary=binary, user=user, ring_bytes=ring_bytes
        )
        self._recordings.add(recording)
        recording.when_over(lambda: self._recordings.discard(recording))
        return recording

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
        self._owner.enter()
        with gating.asking(pid, gating.TRACE) as ask:
            work = self._by_records(pid, output, options, ask, binary=binary, user=user, ring_bytes=ring_bytes)
            return await attempt(work, _stop, self._attempts)

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

    # --- the end ---

    async def close(self) -> None:
        """End all sessions and helpers. Idempotent; once begun it is done, cancelled or not. Not for a forked copy.

        Raises:
            NoEventLoop: no asyncio loop runs here, or another one uses this profiler.
            NoResources: there is no descriptor left to end all with.
        """
        if not self.mine:
            return
        if self._tracers.made or self._attempts or self._recordings:
            self._owner.enter()
            await carry(self._close())

    async def _close(self) -> None:
        await all_done(list(self._attempts), GIVING_UP_S)
        for session in self.sessions:
            session.request_stop()
        for session in self.sessions:
            await despite_errors(session.detach())
        for recording in list(self._recordings):
            await despite_errors(recording.stop())
        await self._tracers.close()

    def _own(self, session: Session) -> Session:
        self._sessions.setdefault(session.target.pid, []).append(session)
        return session

    def _forget(self, session: Session) -> None:
        group = self._sessions.get(session.target.pid, [])
        if session in group:
            group.remove(session)
        if not group:
            self._sessions.pop(session.target.pid, None)


async def _let_go(session: Session) -> None:
    await session.detach("cancelled")


async def _stop(recording: KernelRecording) -> None:
    await recording.stop()


async def _end(session: Session) -> None:
    """Undo a spawn."""
    if session.process is not None:
        await children.end(session.process)
    await session.detach("cancelled")


if TYPE_CHECKING:
    _PROFILER: type[AsyncProfiler] = Profiler
    _SESSION: type[AsyncSession] = Session
    _RECORDINGS: tuple[type[AsyncRecording], ...] = (KernelRecording, StraceRecording)
    _EVENTS: type[AsyncEvents] = EventStream
