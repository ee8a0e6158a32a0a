"""Whom straced leaves alone: itself, its helpers, those who started it, other tracers, and the machine's pid 1.

A tracer that stops what it waits for never ends; two tracers that trace each other cannot even be killed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection

from straced.errors import OwnProcess, ProtectedTarget
from straced.linux import capabilities, procfs

TRACER_PROGRAMS = frozenset(
    {"strace", "ltrace", "gdb", "gdbserver", "lldb", "lldb-server", "rr", "uftrace", "tracexec"}
)


def refuse_own(facts: procfs.Stat, me: capabilities.Caller, force: bool, helpers: Collection[int], root: str) -> None:
    """Raise OwnProcess or ProtectedTarget for a target that straced must not stop."""
    pid, name = facts.pid, f"{facts.pid} ({facts.comm})"
    if pid == 1:
        if not force and capabilities.in_initial_pid_namespace(root):
            hint = "everything depends on it: add force=True if you are sure"
            raise ProtectedTarget(f"{name} is pid 1 of the host", hint=hint, pid=pid)
        return  # in a container everything descends from pid 1, which does not make it ours
    if pid == me.pid:
        raise OwnProcess("straced cannot trace itself", hint="choose another process", pid=pid)
    if pid in helpers:
        raise OwnProcess(f"{name} is a helper of straced", hint="choose another process", pid=pid)
    if _started_before(facts, me.pid, root) and pid in procfs.ancestors(me.pid, root):
        hint = "start straced from another terminal"
        raise OwnProcess(f"{name} is an ancestor of straced: each would wait for the other", hint=hint, pid=pid)
    if pid in _tracers_of(me.tracer_pid, root) or _is_tracer_at_work(facts, root):
        hint = "two tracers that trace each other cannot be killed"
        raise OwnProcess(f"{name} is a tracer at work", hint=hint, pid=pid)


def _tracers_of(tracer: int, root: str) -> list[int]:
    """Who traces us, who traces that one, and so on."""
    chain: list[int] = []
    while tracer and tracer not in chain:
        chain.append(tracer)
        try:
            tracer = procfs.tracer_pid(tracer, root)
        except procfs.Gone:
            break
    return chain


def _started_before(facts: procfs.Stat, me: int, root: str) -> bool:
    """Whether a process can be an ancestor of ours: those started before us, and who inherits us did too."""
    try:
        return facts.start_ticks <= procfs.stat(me, root).start_ticks
    except procfs.Gone:
        return True


def _is_tracer_at_work(facts: procfs.Stat, root: str) -> bool:
    names = {facts.comm, os.path.basename(procfs.exe(facts.pid, root) or "")}
    return bool(names & TRACER_PROGRAMS) and any(_traced_by(facts.pid, other, root) for other in procfs.pids(root))


def _traced_by(tracer: int, pid: int, root: str) -> bool:
    try:
        return procfs.tracer_pid(pid, root) == tracer
    except (procfs.Gone, OSError):
        return False


def reads_from(pid: int, descriptor: int, root: str = procfs.ROOT) -> bool:
    """Whether a process reads the pipe that ``descriptor`` of this one writes to: a trace of it would feed itself."""
    try:
        pipe = os.readlink(f"{root}/self/fd/{descriptor}")
        if not pipe.startswith("pipe:"):
            return False
        return any(_reads(f"{root}/{pid}/fd/{name}", pipe) for name in os.listdir(f"{root}/{pid}/fd"))
    except OSError:
        return False


def _reads(link: str, pipe: str) -> bool:
    """The mode of a link in /proc/PID/fd tells reading from writing (proc(5))."""
    try:
        return os.readlink(link) == pipe and bool(os.lstat(link).st_mode & stat.S_IRUSR)
    except OSError:
        return False
