"""Profiler: picks a tracer and says why, and counts what processes do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from straced import gating
from straced.concurrency import children
from straced.concurrency.shielding import attempt, carry
from straced.model.choices import TimeKind, TracerName
from straced.model.types import Sample
from straced.profiling import attaching, readings, tracer_choice
from straced.profiling.arguments import check_budgets, check_limit, check_time, check_tracer
from straced.profiling.attaching import AttachedTarget
from straced.profiling.limits import watch_limits
from straced.profiling.profiler_traces import TracingProfiler
from straced.profiling.session import Session
from straced.profiling.tracer_set import TracerSet
from straced.tracers.base import AttachOptions, ChildTracer, Rights

if TYPE_CHECKING:
    from straced.profiling.api import AsyncEvents, AsyncProfiler, AsyncRecording, AsyncSession
    from straced.profiling.kernel_recording import KernelRecording
    from straced.tracers.event_stream import EventStream
    from straced.tracers.strace.recording import StraceRecording


class Profiler(TracingProfiler):
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
        wanted = check_tracer(tracer)
        check_budgets(max_overhead_pct, max_tasks)
        given = {"rows": max_rows, "instances": max_per_process}
        super().__init__(
            wanted,
            AttachOptions(max_overhead_pct=max_overhead_pct, max_tasks=max_tasks),
            TracerSet(user_share=user_share, **{k: v for k, v in given.items() if v is not None}),
        )

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


async def _let_go(session: Session) -> None:
    await session.detach("cancelled")


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
