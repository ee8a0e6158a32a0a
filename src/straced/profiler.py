"""Profiler: picks a tracer and says why, and owns the sessions."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from straced import choice, gating, procfs
from straced.errors import InvalidArgument, NoSuchProcess, NotLive, TracerUnavailable
from straced.model import Sample, Target
from straced.session import Session
from straced.tracers.base import AttachOptions, Rights, Tracer

if TYPE_CHECKING:
    from straced.tracers.strace_record import Recording, RecordOptions

PID_MAX = 1 << 22


class Profiler:
    """Attaches to processes and owns what that takes. Opens nothing until the first attach.

    Args:
        tracer: ``auto``, ``ebpf``, ``strace`` or ``sampler``. One asked for by name never falls back.
        max_overhead_pct: detach a session when the estimated slowdown of its target exceeds this.
        max_tasks: the most tasks of one target to put under ptrace.
        max_rows: different calls over all processes that eBPF has room for, 704 bytes each; else its default.
        user_share: how much of that the processes of one user may have, unless that is root.
    """

    def __init__(
        self,
        tracer: str = "auto",
        *,
        max_overhead_pct: float | None = None,
        max_tasks: int = 1000,
        max_rows: int | None = None,
        user_share: float = 1.0,
    ) -> None:
        if tracer not in choice.TRACERS:
            raise InvalidArgument(f"{tracer!r} is not a tracer", hint=f"one of {', '.join(choice.TRACERS)}")
        self._wanted = tracer
        self._max_overhead_pct = max_overhead_pct
        self._max_tasks = max_tasks
        self._ebpf: dict[str, Any] = {"user_share": user_share} | ({} if max_rows is None else {"rows": max_rows})
        self._tracers: dict[str, Tracer] = {}
        self._sessions: dict[int, list[Session]] = {}
        self._owner = os.getpid()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def mine(self) -> bool:
        """False in a forked copy, which is inert."""
        return os.getpid() == self._owner

    @property
    def sessions(self) -> list[Session]:
        """Sessions that have not ended, in the order attached."""
        return [session for group in self._sessions.values() for session in group]

    async def attach(
        self,
        pid: int,
        *,
        follow: bool = True,
        labels: dict[str, str] | None = None,
        time: str = "wall",
        force: bool = False,
        per_thread: bool = False,
        user: Rights | None = None,
    ) -> Session:
        """Start counting what a process does; returns once the kernel has confirmed it. Opens a waiting gate.

        Args:
            pid: the process.
            follow: its children too, those that exist and those to come.
            labels: kept with every summary.
            time: ``wall``, or ``cpu`` for CPU time in the kernel (plain ``strace -c``).
            force: allow the host's pid 1.
            user: count only what is wholly this user's (eBPF).

        Raises:
            AttachError: the process runs on, untraced; ``reason`` and ``hint`` say why.
            TracerUnavailable: no tracer can serve.
        """
        target, program = await self._find(pid)
        options = AttachOptions(
            follow=follow,
            max_tasks=self._max_tasks,
            max_overhead_pct=self._max_overhead_pct,
            force=force,
            time=time,
            per_thread=per_thread,
            user=user,
        )
        try:
            picked = choice.pick(self._wanted, target, self._tracer, started_by_us=program is not None)
            inner = await picked.tracer.attach(target, options)
        except BaseException:
            if program is not None:
                gating.release(pid)
            raise
        if program is not None:
            gating.release(pid)  # strace has opened it already; for the others this does
            target = _named_after(target, program)
        session = Session(target, picked.tracer, picked.reason, inner, options, dict(labels or {}), self._forget)
        self._sessions.setdefault(target.pid, []).append(session)
        return session

    async def watch_children(self, of: int | None = None, *, labels: dict[str, str] | None = None) -> Session:
        """Count all that a process starts from now on, but not the process itself (eBPF).

        Args:
            of: its pid; this process when left out.
            labels: kept with every summary.

        Raises:
            TracerUnavailable: eBPF cannot serve here, and nothing else can do this.
        """
        tracer = self._tracer("ebpf")
        available = tracer.probe()
        if available.error is not None:
            raise available.error
        inner = await tracer.mark_children(os.getpid() if of is None else of)  # type: ignore[attr-defined]
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

        Raises:
            CommandNotFound, ExecFailed: there is no such program; nothing was started.
            AttachError, TracerUnavailable: not traced; the program runs all the same, ``error.process`` is it.
        """
        process = await asyncio.create_subprocess_exec(*gating.gate(argv), **popen_options)
        try:
            session = await self.attach(process.pid, follow=follow, labels=labels, time=time)
        except Exception as error:
            error.process = process  # type: ignore[attr-defined]
            raise
        session.process = process
        return session

    async def trace(self, pid: int, output: int | None, options: RecordOptions) -> Recording:
        """Start a full trace; a strace that counts the same target lends it, and goes on counting afterwards.

        Args:
            pid: the process.
            output: a descriptor to write to, or ``None`` for lines out of ``Recording.readers``.

        Raises:
            AttachError, TracerUnavailable: as :meth:`attach`.
        """
        from straced.tracers.strace import StraceTracer

        target, program = await self._find(pid)
        tracer = self._tracer("strace")
        assert isinstance(tracer, StraceTracer)

        async def start() -> Recording:
            return await tracer.record(target, output, options)

        try:
            for session in self._sessions.get(pid, []):
                if session.tracer == "strace" and session.alive:
                    return await session.lend(start, self._counts_beside(target))
            return await start()
        finally:
            if program is not None:
                gating.release(pid)

    async def read_all(self, *, sums: bool = False) -> dict[Session, Sample]:
        """The raw counters of every session that tells any while it runs; one reading for all where a tracer has that.

        With ``sums``, for one reader who compares its readings by process (:func:`straced.movement.moves`): rows are
        told apart only when they are looked at, where a tracer can do that.

        Sessions of strace, which speaks at its end only, and those that end in this very moment are left out.
        """
        found: dict[Session, Sample] = {}
        for tracer in self._tracers.values():
            sessions = [session for session in self.sessions if session.tracer == tracer.name and session.alive]
            at_once = getattr(tracer, "sum_all", None) if sums else None
            at_once = at_once or getattr(tracer, "read_all", None)
            if at_once is not None and sessions:
                by_inner = at_once()
                found.update((each, by_inner[each.inner]) for each in sessions if each.inner in by_inner)
                continue
            for session in sessions:
                with contextlib.suppress(NotLive, RuntimeError):
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
        """End all sessions and helpers. Idempotent; in a forked copy it does nothing."""
        if not self.mine:
            return
        for session in self.sessions:
            session.request_stop()
        for session in self.sessions:
            with contextlib.suppress(Exception):
                await session.detach()
        for tracer in self._tracers.values():
            await tracer.close()

    async def _find(self, pid: int) -> tuple[Target, tuple[str, ...] | None]:
        """Who ``pid`` is, and the program behind it when it is a gate, which is given the time to get ready."""
        if not self.mine:
            raise InvalidArgument("a forked copy of a Profiler does not attach", hint="make a new one in the child")
        if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= PID_MAX:
            raise InvalidArgument(f"{pid!r} is not a pid")
        program = await gating.program_behind(pid)
        if program is not None:
            try:
                await gating.wait_ready(pid)
            except BaseException:
                gating.release(pid)
                raise
        try:
            return procfs.target(pid), program
        except (procfs.Gone, ProcessLookupError) as error:
            raise NoSuchProcess(f"there is no process {pid}", pid=pid) from error

    def _tracer(self, name: str) -> Tracer:
        if name not in self._tracers:
            self._tracers[name] = choice.make(name, **self._ebpf)
        return self._tracers[name]

    def _forget(self, session: Session) -> None:
        group = self._sessions.get(session.target.pid, [])
        if session in group:
            group.remove(session)
        if not group:
            self._sessions.pop(session.target.pid, None)


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
