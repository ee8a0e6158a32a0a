"""A command run under straced from a shell: as if straced were not there, but counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from straced import gating
from straced.concurrency import stopping
from straced.errors import StracedError
from straced.model.types import Summary
from straced.profiling.arguments import check_tracer
from straced.profiling.profiler import Profiler
from straced.profiling.session import Session
from straced.text.sanitize import scrub
from straced.tracers.base import AttachOptions
from straced.views.text import streams
from straced.workflows import delegation
from straced.workflows.attach import missing_details
from straced.workflows.foreground import Foreground
from straced.workflows.hints import as_typed
from straced.workflows.killed_for_memory import MemoryWatch

WORDS = {
    "strace": "counted by strace (slows the command down)",
    "sampler": "calls cannot be counted here; times are estimated by sampling /proc",
}


class Launch(Struct, frozen=True, kw_only=True):
    """What to run, and how to look at it."""

    argv: Sequence[str]
    tracer: str = "auto"
    follow: bool = True
    labels: dict[str, str] = {}
    max_overhead_pct: float | None = None
    slower_ns: int | None = None
    """Tell calls that take at least so long."""
    slow_waits: bool = False
    files: bool = False
    io_uring: bool = False
    require_trace: bool = False
    as_caller: bool = False


def run(launch: Launch, report: Callable[[Summary], None]) -> int:
    """Run the command to its end, report what it did, and return the status a shell would see.

    Raises:
        CommandNotFound, ExecFailed, InvalidArgument: nothing was run.
        StracedError: with ``require_trace`` only: nothing was run, since it could not be traced.
    """
    argv = gating.gate(launch.argv)
    identity = _identity(launch.as_caller)
    profiler = Profiler(
        check_tracer(launch.tracer), max_overhead_pct=launch.max_overhead_pct
    )  # what it refuses is not run
    with Foreground() as foreground:

        def start() -> subprocess.Popen[bytes]:
            # Descriptors pass through (a jobserver's, say) as they would without us; Python's own are close-on-exec.
            process = foreground.start(argv, close_fds=False, **identity)
            gating.remember(process.pid)
            return process

        return stopping.cancelled_by_ctrl_c(_see_through(profiler, start, foreground, launch, report))


async def _see_through(
    profiler: Profiler,
    start: Callable[[], subprocess.Popen[bytes]],
    foreground: Foreground,
    launch: Launch,
    report: Callable[[Summary], None],
) -> int:
    async with profiler:
        await profiler.load(slow_calls=launch.slower_ns is not None, files=launch.files)
        process = start()
        await delegation.label(process.pid, launch.labels)
        session = await _attach(profiler, process, launch)
        memory = MemoryWatch(process.pid)
        looking = asyncio.create_task(memory.keep_looking())
        try:
            status = await foreground.wait()
        finally:
            looking.cancel()
        process.returncode = status
        if session is not None:
            summary = await session.detach()
            report(_named(summary, session, status))
            if missing := missing_details(summary, launch):
                _say(missing)
        if killed := memory.words(status):
            _say(killed)
    return status if status >= 0 else 128 - status


async def _attach(profiler: Profiler, process: subprocess.Popen[bytes], launch: Launch) -> Session | None:
    try:
        options = AttachOptions(
            follow=launch.follow,
            slower_ns=launch.slower_ns,
            slow_waits=launch.slow_waits,
            files=launch.files,
            io_uring=launch.io_uring,
        )
        session = await profiler.attach_for(None, process.pid, options, launch.labels, required=launch.require_trace)
    except Exception as error:
        if launch.require_trace and gating.shut(process):
            raise
        gating.release(process.pid)
        if not isinstance(error, StracedError):
            _say(f"internal fault: {type(error).__name__}: {error}; the command runs untraced")
        else:
            _say(f"{error.reason}; the command runs untraced", as_typed(error.hint))
        return None
    if launch.tracer == "auto" and session.tracer_reason:
        _say(f"{WORDS[session.tracer]}, since {session.tracer_reason}")
    if session.uses_ptrace and os.geteuid() != 0 and _is_setuid(launch.argv[0]):
        _say(f"{launch.argv[0]} is setuid: under strace without root it runs without its privileges")
    return session


def _named(summary: Summary, session: Session, status: int) -> Summary:
    """The command's own end, which its parent knows best, and its name as it was typed."""
    end = "exited" if status >= 0 else f"killed({-status})"
    stopped_early = summary.end in ("overhead", "tasks") or (summary.end or "").startswith("tracer_crashed")
    return msgspec.structs.replace(
        summary, target=session.target, exit_status=status, end=summary.end if stopped_early else end
    )


def _identity(as_caller: bool) -> dict[str, Any]:
    """Under sudo: who the command runs as, which is said; with ``--user`` the one who typed it."""
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not caller.isdecimal() or caller == "0":
        if as_caller:
            raise StracedError("--user is for sudo: there is no other user to run as")
        return {}
    entry = pwd.getpwuid(int(caller))
    if not as_caller:
        _say(f"the command runs as root; with --user it runs as {entry.pw_name}")
        return {}
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    environ = {**os.environ, "HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups, "env": environ}


def _is_setuid(command: str) -> bool:
    try:
        return bool(os.stat(gating.resolve(command)).st_mode & (stat.S_ISUID | stat.S_ISGID))
    except (OSError, StracedError):
        return False


def _say(reason: str, hint: str = "") -> None:
    """Words of at most two lines on stderr; when nobody reads them, the command runs on."""
    lines = [f"straced: {scrub(reason, 500)}", *(f"  {scrub(line, 500)}" for line in hint.splitlines()[:1])]
    with contextlib.suppress(OSError, ValueError):
        streams.say(*lines)
