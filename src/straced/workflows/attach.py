"""Processes watched from a shell until they end, time is up, or somebody presses Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from msgspec import Struct

from straced.concurrency import stopping
from straced.errors import NotLive, StracedError
from straced.linux import procfs
from straced.linux.targets import TargetSpec, process_of, resolve_all
from straced.model.split import SplitPart, split
from straced.model.types import Summary
from straced.profiling.arguments import check_tracer
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session
from straced.text.sanitize import scrub
from straced.text.tracer_names import tracer_name
from straced.tracers.base import AttachOptions
from straced.views.text import streams
from straced.workflows import delegation, ptrace_warning

if TYPE_CHECKING:
    from straced.client.sessions import RemoteSession

SEVERAL = {"process": "processes", "thread": "threads"}
AnySession: TypeAlias = "Session | RemoteSession"


class AttachRequest(Struct, frozen=True, kw_only=True):
    """What to watch, and for how long."""

    targets: Sequence[TargetSpec]
    tracer: str = "auto"
    by_ptrace: bool = False
    """A ptrace-based tracer was asked for by name."""
    follow: bool = True
    duration_s: float | None = None
    interval_s: float | None = None
    max_overhead_pct: float | None = None
    max_tasks: int = AttachOptions().max_tasks
    by: str | None = None
    """``process`` or ``thread``: tell these apart, too."""
    slower_ns: int | None = None
    """Tell calls that take at least so long."""
    slow_waits: bool = False
    files: bool = False
    io_uring: bool = False
    force: bool = False


class Details(Protocol):
    """What was asked for besides counts."""

    @property
    def slower_ns(self) -> int | None: ...
    @property
    def files(self) -> bool: ...
    @property
    def io_uring(self) -> bool: ...


Report = Callable[[Summary, Sequence[SplitPart]], None]


def watch(wanted: AttachRequest, report: Report) -> int:
    """Watch, report each target (or each window of it), and return the exit status.

    Raises:
        NotLive: processes or threads cannot be told apart by a tracer that was asked for.
        StracedError: no target could be attached to. With several, those that cannot are named and left out, and
            the status is that of the first of them.
    """
    return stopping.run(lambda requests: _watch(wanted, report, requests.event))


async def _watch(wanted: AttachRequest, report: Report, stop: asyncio.Event) -> int:
    async with contextlib.AsyncExitStack() as owned:
        profiler = Profiler(
            check_tracer(wanted.tracer), max_overhead_pct=wanted.max_overhead_pct, max_tasks=wanted.max_tasks
        )
        await owned.enter_async_context(profiler)
        sessions, refused = await _attach(profiler, wanted, owned)
        if wanted.interval_s is not None and any(session.uses_ptrace for session in sessions):
            raise NotLive(
                "strace gives its counts when it lets go, so there are no windows to print",
                hint="leave -i out, or use --tracer ebpf (straced doctor says what it needs)",
            )
        if wanted.by is not None and any(session.uses_ptrace for session in sessions):
            raise NotLive(
                f"{sessions[0].tracer} does not tell {SEVERAL[wanted.by]} apart",
                hint="leave --by out, or use --tracer ebpf (straced doctor says what it needs)",
            )
        _announce(sessions)
        windows = [asyncio.create_task(_windows(session, wanted.interval_s, report)) for session in sessions]
        ended: asyncio.Future[Any] = asyncio.gather(*(session.wait() for session in sessions))
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        await asyncio.wait([ended, stopped], timeout=wanted.duration_s, return_when=asyncio.FIRST_COMPLETED)
        for session in sessions:
            session.request_stop()
        results = await asyncio.gather(*(session.detach() for session in sessions))
        stopped.cancel()
        await asyncio.gather(*windows)
        if wanted.interval_s is None:
            for session, summary in zip(sessions, results, strict=True):
                parts = await _parts(session, summary) if wanted.by is not None else []
                report(summary, parts)
        for summary in results:
            if text := missing_details(summary, wanted):
                streams.say(f"straced attach: {text}")
    return refused[0].exit_code if refused else 0


async def _attach(
    profiler: Profiler, wanted: AttachRequest, owned: contextlib.AsyncExitStack
) -> tuple[list[AnySession], list[StracedError]]:
    pids = [*dict.fromkeys(process_of(pid, "attach", "counted") for pid in resolve_all(wanted.targets))]
    if wanted.by_ptrace:
        for pid in pids:
            ptrace_warning.warn(pid, force=wanted.force)
    options = AttachOptions(
        follow=wanted.follow,
        force=wanted.force,
        per_thread=wanted.by == "thread",
        by_program=wanted.by == "process",
        slower_ns=wanted.slower_ns,
        slow_waits=wanted.slow_waits,
        files=wanted.files,
        io_uring=wanted.io_uring,
    )
    attempts = (profiler.attach_for(None, pid, options) for pid in pids)
    tried: list[AnySession | BaseException] = [*await asyncio.gather(*attempts, return_exceptions=True)]
    if wanted.tracer in ("auto", "ebpf") and wanted.max_overhead_pct is None:
        tried = await _by_the_service(pids, tried, wanted, owned)
    sessions = [result for result in tried if not isinstance(result, BaseException)]
    refused = [result for result in tried if isinstance(result, StracedError)]
    for result in tried:
        if isinstance(result, BaseException) and not isinstance(result, StracedError):
            raise result
    if not sessions:
        raise refused[0]
    for error in refused:
        streams.say(f"straced attach: {error.reason}")
    return sessions, refused


async def _by_the_service(
    pids: Sequence[int],
    tried: list[AnySession | BaseException],
    wanted: AttachRequest,
    owned: contextlib.AsyncExitStack,
) -> list[AnySession | BaseException]:
    """Have a service of root count those for whom our own rights do not suffice; what it refuses too stays refused."""
    lacking = [(at, error) for at, error in enumerate(tried) if isinstance(error, delegation.LACKING)]
    service = await delegation.connect() if lacking else None
    if service is None:
        return tried
    await owned.enter_async_context(service)
    tried = list(tried)
    for at, error in lacking:
        with contextlib.suppress(StracedError):
            tried[at] = await service.attach(
                pids[at],
                follow=wanted.follow,
                per_thread=wanted.by == "thread",
                slower_than=None if wanted.slower_ns is None else wanted.slower_ns / 1e9,
                waits=wanted.slow_waits,
                files=wanted.files,
                io_uring=wanted.io_uring,
            )
            delegation.say("attach", f"{pids[at]} is counted", error)
    return tried


async def _windows(session: AnySession, interval_s: float | None, report: Report) -> None:
    if interval_s is not None:
        async for summary in session.every(interval_s):
            report(summary, ())


async def _parts(session: AnySession, summary: Summary) -> list[SplitPart]:
    """What each process or thread did, from the last counters."""

    def name_of(pid: int | None, tid: int | None, program: str | None) -> str:
        if pid is None:
            return f"ended: {program}" if program else "ended"
        number = pid if tid is None else tid
        try:
            where = str(pid) if tid is None else f"{pid}/task/{tid}"
            comm = procfs.read_small(f"{where}/comm").decode("utf-8", "backslashreplace").rstrip("\n")
        except (procfs.Gone, OSError):
            comm = summary.target.comm if number == summary.target.pid else "ended"
        return f"{number} ({scrub(comm, 15)})"

    return split((await session.read()).rows, name_of)


def missing_details(summary: Summary, wanted: Details) -> str:
    """Why a summary has not all that was asked for besides counts; empty where it has."""
    lacking = ["slow calls"] * (wanted.slower_ns is not None and summary.slow is None)
    lacking += ["sums by file"] * (wanted.files and summary.files is None)
    lacking += ["requests of io_uring"] * (wanted.io_uring and summary.io_uring is None)
    if not lacking:
        return ""
    return f"there are no {' and no '.join(lacking)}: {summary.target.pid} was counted by {tracer_name(summary.tracer)}"


def _announce(sessions: Sequence[AnySession]) -> None:
    if not sys.stderr.isatty():
        return
    names = ", ".join(f"{session.target.pid} ({scrub(session.target.comm)})" for session in sessions)
    streams.say(f"straced: counting {names} by {tracer_name(sessions[0].tracer)}; Ctrl-C ends it")
