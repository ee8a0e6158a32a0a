"""Profiler: picks a tracer and says why, and owns the sessions."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from straced import gating
from straced.concurrency import children
from straced.concurrency.ownership import OwnerBinding
from straced.concurrency.shielding import Operation, all_done, attempt, carry
from straced.errors import InvalidArgument, NoSuchProcess, NotLive, StracedError, TracerUnavailable
from straced.linux import procfs
from straced.logs import logger
from straced.model.types import Sample, Target
from straced.profiling import tracer_choice
from straced.profiling.limits import check_budgets, watch_limits
from straced.profiling.session import Session
from straced.tracers.base import AttachOptions, ChildTracer, LiveTracer, Rights, Tracer, TracerSession

if TYPE_CHECKING:
    from straced.tracers.strace.recording import Recording, RecordOptions

PID_MAX = 1 << 22
TIMES = ("wall", "cpu")
GIVING_UP_S = 5.0
"""How long attaches that are under way at :meth:`Profiler.close` may take to let go."""


class Profiler:
    """Attaches to processes and owns what that takes. Opens nothing until the first attach.

    It belongs to the process and to the event loop that first use it; a copy that a forked child has is inert. Every
    coroutine may be cancelled at any moment: an attach that is cancelled is undone, and a close is carried out.

    Args:
        tracer: ``auto``, ``ebpf``, ``strace`` or ``sampler``. One asked for by name never falls back.
        max_overhead_pct: detach a session when the estimated slowdown of its target exceeds this.
        max_tasks: the most tasks of one target to put under ptrace.
        max_rows: different calls over all processes that eBPF has room for, 704 bytes each; else its default.
        user_share: how much of that the processes of one user may have, unless that is root.
        max_per_process: how many sessions may count one process at a time by eBPF; else its default, 8.
    """

    def __init__(
        self,
        tracer: str = "auto",
        *,
        max_overhead_pct: float | None = None,
        max_tasks: int = 1000,
        max_rows: int | None = None,
        user_share: float = 1.0,
        max_per_process: int | None = None,
    ) -> None:
        if tracer not in tracer_choice.TRACERS:
            raise InvalidArgument(f"{tracer!r} is not a tracer", hint=f"one of {', '.join(tracer_choice.TRACERS)}")
        check_budgets(max_overhead_pct, max_tasks)
        self._wanted = tracer
        self._max_overhead_pct = max_overhead_pct
        self._max_tasks = max_tasks
        given = {"rows": max_rows, "instances": max_per_process}
        self._ebpf: dict[str, Any] = {"user_share": user_share} | {k: v for k, v in given.items() if v is not None}
        self._tracers: dict[str, Tracer] = {}
        self._sessions: dict[int, list[Session]] = {}
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
        """False in a forked copy, which is inert. One that was not in use before the fork is none."""
        return self._owner.here

    @property
    def sessions(self) -> list[Session]:
        """Sessions that have not ended, in the order attached; none of them is a forked copy's."""
        if not self.mine:
            return []
        return [session for group in self._sessions.values() for session in group]

    @property
    def helper_pids(self) -> list[int]:
        """Every process that straced started to observe: straces first, then their guard and what it keeps ready."""
        tracers = self._tracers.values() if self.mine else ()
        return [pid for tracer in tracers for pid in tracer.process_pids]

    @property
    def strace_pids(self) -> list[int]:
        """The straces that have a target now, those that count first, each in the order attached."""
        tracers = self._tracers.values() if self.mine else ()
        return [pid for tracer in tracers if tracer.uses_ptrace for pid in tracer.helper_pids]

    async def load(self) -> None:
        """Load what an attach will need, so that a gate that is started now waits for the attach alone.

        For who starts programs by :func:`straced.gate`; :meth:`spawn` does it by itself. Nothing is raised when eBPF is
        refused: the attach says so, or goes on to the next tracer.
        """
        self._owner.enter()
        await carry(tracer_choice.load(self._wanted, self._tracer))

    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: str = "wall",
        force: bool = False,
        per_thread: bool = False,
        required: bool = False,
        user: Rights | None = None,
    ) -> Session:
        """Start counting what a process does; returns once the kernel has confirmed it. Opens a waiting gate.

        ``auto`` takes the next tracer when the kernel refuses one at the attempt. The last, for a program behind a gate
        only, is the sampler, which estimates times and counts nothing.

        Args:
            pid: the process; the id of a thread means its process, which ``session.target.pid`` is then.
            follow: its children too, those that exist and those to come.
            labels: kept with every summary.
            time: ``wall``, or ``cpu`` for CPU time in the kernel (plain ``strace -c``).
            force: allow the host's pid 1.
            required: no estimates, and a gate stays shut when the attach fails: whoever started it ends or opens it.
            user: count only what is wholly this user's (eBPF).

        Raises:
            InvalidArgument: no process or time can be called that; a ForkedCopy, too.
            AttachError: the process runs on, untraced; ``reason`` and ``hint`` say why.
            TracerUnavailable: no tracer can serve.
            NoEventLoop: under trio, say.
        """
        _check_time(time)
        self._owner.enter()
        options = AttachOptions(
            follow=follow,
            max_tasks=self._max_tasks,
            max_overhead_pct=self._max_overhead_pct,
            force=force,
            time=time,
            per_thread=per_thread,
            user=user,
        )
        with gating.asking(pid, gating.COUNTS) as ask:
            return await attempt(self._attach(pid, options, labels, ask, required), _let_go, self._attempts)

    async def _attach(
        self, pid: int, options: AttachOptions, labels: dict[str, str] | None, ask: gating.Ask, required: bool
    ) -> Session:
        target, program = await self._find(pid, ask)

        async def by(tracer: Tracer) -> tuple[Tracer, TracerSession | None, Recording | None, bool]:
            inner, recording = None, None
            if tracer.uses_ptrace:
                tracer, inner, recording = await self._beside_a_trace(target, options, tracer, ask)
            closed = ask.ready and gating.is_ready(pid)
            if inner is None and recording is None:
                inner = await tracer.attach(target, options)
            # strace opens a gate as it arrives; for the others it must be closed still
            from_the_first = recording is not None or (closed and (tracer.uses_ptrace or gating.is_ready(pid)))
            return tracer, inner, recording, from_the_first

        ours = program is not None
        try:
            reason, attached = await tracer_choice.attach(
                self._wanted, target, self._tracer, by, started_by_us=ours, estimates=not required
            )
        except BaseException:
            ask.gated &= not required
            raise
        tracer, inner, recording, from_the_first = attached
        reasons = () if from_the_first or not gating.was_gate(target) else (gating.LATE,)
        if program is not None:
            target = _named_after(target, program)
        session = Session(
            target,
            tracer,
            reason,
            inner,
            options,
            dict(labels or {}),
            self._forget,
            recording=recording,
            reasons=reasons,
            watch=watch_limits,
        )
        self._sessions.setdefault(target.pid, []).append(session)
        return session

    async def _beside_a_trace(
        self, target: Target, options: AttachOptions, strace: Tracer, ask: gating.Ask
    ) -> tuple[Tracer, TracerSession | None, Recording | None]:
        """Who counts when a full trace from the first instruction has ptrace: another tracer, or the trace's lines."""
        from straced.tracers.strace.tracer import StraceTracer

        assert isinstance(strace, StraceTracer)
        traces = [each for each in strace.recordings if each.from_the_first and each.target.pid == target.pid]
        if ask.trace_is_coming:
            if (beside := self._counts_beside(target)) is not None:
                with contextlib.suppress(StracedError):
                    return beside, await beside.attach(target, options), None
            traces = [each for each in await ask.trace_in_place() if strace.made(each)]
        lent = {session.recording for session in self.sessions}
        return strace, None, next((each for each in traces if each not in lent), None)

    async def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> Session:
        """Count all that a process starts from now on, but not the process itself (eBPF).

        Args:
            of: its pid; this process when left out.
            labels: kept with every summary.

        Raises:
            TracerUnavailable: eBPF cannot serve here, and nothing else can do this.
        """
        self._owner.enter()
        return await attempt(self._watch_children(os.getpid() if of is None else of, labels), _let_go, self._attempts)

    async def _watch_children(self, of: int, labels: dict[str, str] | None) -> Session:
        tracer = self._tracer("ebpf")
        available = tracer.probe()
        if available.error is not None:
            raise available.error
        assert isinstance(tracer, ChildTracer)
        inner = await tracer.mark_children(of)
        session = Session(inner.target, tracer, "asked for", inner, AttachOptions(), dict(labels or {}), self._forget)
        self._sessions.setdefault(inner.target.pid, []).append(session)
        return session

    async def spawn(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: str = "wall",
        **popen_options: Any,
    ) -> Session:
        """Start a program that is traced from its first instruction; ``session.process`` is the caller's own.

        Cancelled, it ends the program and waits for it, as ``asyncio.create_subprocess_exec`` does.

        Raises:
            InvalidArgument: as :meth:`attach`; nothing was started.
            CommandNotFound, ExecFailed: there is no such program; nothing was started.
            AttachError, TracerUnavailable: not traced; the program runs all the same, ``error.process`` is it.
        """
        _check_time(time)
        self._owner.enter()

        async def start() -> Session:
            gated = gating.gate(argv)
            await tracer_choice.load(self._wanted, self._tracer)
            process = await children.start(gated, popen_options)
            gating.remember(process.pid)
            try:
                session = await self.attach(process.pid, follow=follow, labels=labels, time=time)
            except asyncio.CancelledError:
                await children.end(process)
                raise
            except Exception as error:
                error.process = process  # type: ignore[attr-defined]
                raise
            session.process = process
            return session

        return await attempt(start(), _end)

    async def trace(self, pid: int, output: int | None, options: RecordOptions) -> Recording:
        """Start a full trace; a strace that counts the same target lends it, and goes on counting afterwards.

        Asked for together with :meth:`attach`, before a gate opens, both begin at the first instruction.

        Args:
            pid: the process.
            output: a descriptor to write to, or ``None`` for lines out of ``Recording.readers``.

        Raises:
            AttachError, TracerUnavailable: as :meth:`attach`.
        """
        self._owner.enter()
        with gating.asking(pid, gating.TRACE) as ask:
            return await attempt(self._trace(pid, output, options, ask), self._recall, self._attempts)

    async def _trace(self, pid: int, output: int | None, options: RecordOptions, ask: gating.Ask) -> Recording:
        from straced.tracers.strace.tracer import StraceTracer

        target, program = await self._find(pid, ask)
        if program is not None:
            await ask.counts_in_place()
        closed = ask.ready and gating.is_ready(pid)
        tracer = self._tracer("strace")
        assert isinstance(tracer, StraceTracer)

        async def start() -> Recording:
            recording = await tracer.record(target, output, options)
            recording.from_the_first = closed
            if not closed and gating.was_gate(target):
                recording.reasons.append(gating.LATE)
            ask.made = recording
            return recording

        for session in self._sessions.get(target.pid, []):
            if session.uses_ptrace and session.alive:
                return await session.lend(start, self._counts_beside(target))
        return await start()

    async def _recall(self, recording: Recording) -> None:
        lenders = [session for session in self.sessions if session.recording is recording]
        await recording.abandon()
        for session in lenders:
            await session.settled()

    async def read_all(self, *, sums: bool = False) -> dict[Session, Sample]:
        """The raw counters of every session that tells any while it runs; one reading for all where a tracer has that.

        With ``sums``, for one reader who compares its readings by process (``CounterRows.moved_since``): rows
        are decoded only when they are looked at, where a tracer can do that.

        Sessions of strace, which speaks at its end only, and those that end in this very moment are left out.
        """
        self._owner.enter()
        found: dict[Session, Sample] = {}
        for tracer in list(self._tracers.values()):  # an attach may add one meanwhile
            sessions = [session for session in self.sessions if session.tracer == tracer.name and session.alive]
            if isinstance(tracer, LiveTracer) and sessions:
                by_inner = tracer.sum_all() if sums else tracer.read_all()
                samples = ((each, by_inner.get(each.inner)) for each in sessions if each.inner is not None)
                found.update((each, sample) for each, sample in samples if sample is not None)
                continue
            for session in sessions:
                with contextlib.suppress(NotLive):
                    found[session] = await session.read()
        return found

    def _counts_beside(self, target: Target) -> Tracer | None:
        """A tracer that can count a target while ptrace has it: eBPF, where it may run."""
        try:
            tracer = self._tracer("ebpf")
        except TracerUnavailable:
            return None
        return tracer if tracer.probe(target).usable else None

    async def close(self) -> None:
        """End all sessions and helpers. Idempotent; once begun it is done, cancelled or not. Not for a forked copy."""
        if not self.mine:
            return
        if self._tracers or self._attempts:
            self._owner.enter()
            await carry(self._close())

    async def _close(self) -> None:
        await all_done(list(self._attempts), GIVING_UP_S)
        for session in self.sessions:
            session.request_stop()
        for session in self.sessions:
            await _despite_errors(session.detach())
        for tracer in list(self._tracers.values()):  # an attach that begins meanwhile may add one
            await _despite_errors(tracer.close())

    async def _find(self, pid: int, ask: gating.Ask) -> tuple[Target, tuple[str, ...] | None]:
        """Who ``pid`` is, and the program behind it when it is a gate, which is given the time to get ready."""
        if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= PID_MAX:
            raise InvalidArgument(f"{pid!r} is not a pid")
        program = await gating.program_behind(pid)
        if program is not None:
            ask.gated = True
            gating.remember(pid)
            ask.ready = await gating.wait_ready(pid)
        try:
            target = procfs.target(pid)
        except (procfs.Gone, ProcessLookupError) as error:
            raise NoSuchProcess(f"there is no process {pid}", pid=pid) from error
        if target.pid != pid:
            fields = {"tid": pid, "pid": target.pid}
            logger.info("thread_of_process: %d is a thread of %d", pid, target.pid, extra={"straced": fields})
        return target, program

    def _tracer(self, name: str) -> Tracer:
        if name not in self._tracers:
            self._tracers[name] = tracer_choice.make(name, **self._ebpf)
        return self._tracers[name]

    def _forget(self, session: Session) -> None:
        group = self._sessions.get(session.target.pid, [])
        if session in group:
            group.remove(session)
        if not group:
            self._sessions.pop(session.target.pid, None)


def _check_time(time: str) -> None:
    if time not in TIMES:
        raise InvalidArgument(f"{time!r} is not a kind of time", hint=f"one of {', '.join(TIMES)}")


async def _despite_errors(work: Coroutine[Any, Any, object]) -> None:
    """One part of the end; when it fails, the others must go all the same."""
    try:
        await work
    except Exception as error:
        logger.warning("close_failed: %s", error, extra={"straced": {"error": repr(error)}})


async def _let_go(session: Session) -> None:
    await session.detach("cancelled")


async def _end(session: Session) -> None:
    """Undo a spawn."""
    if session.process is not None:
        await children.end(session.process)
    await session.detach("cancelled")


def _named_after(target: Target, program: tuple[str, ...]) -> Target:
    """A gate's target under the name of the program it becomes."""
    return Target(
        pid=target.pid,
        start_ticks=target.start_ticks,
        boot_id=target.boot_id,
        host_pid=target.host_pid,
        start_time=target.start_time,
        comm=Path(program[0]).name[:15],
        cmdline=program,
        uid=target.uid,
    )
