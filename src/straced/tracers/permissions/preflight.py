"""Before an attach: may this process be traced at all? After an EPERM: which of its nine causes was it?

Nothing is touched; only /proc is read. What the kernel alone can decide (Yama's scope 1 and its exceptions, security
modules, user namespaces) is left to it, so that nothing is refused here that would have worked.
Sources: ptrace(2) "Ptrace access mode checking", __ptrace_may_access of kernel/ptrace.c.
"""

from __future__ import annotations

from collections.abc import Collection

from straced.errors import (
    AttachError,
    FrozenTarget,
    InvalidArgument,
    KernelThread,
    NoResources,
    NoSuchProcess,
    NotPermitted,
    StracedError,
    TargetIsZombie,
    resources,
)
from straced.linux import capabilities, cgroups, procfs
from straced.linux.targets import validate_pid
from straced.tracers.permissions import protected, refusals

DEAD = "ZX"


def check(pid: int, *, force: bool = False, helpers: Collection[int] = (), root: str = procfs.ROOT) -> tuple[int, ...]:
    """Refuse a target that cannot or must not be put under ptrace.

    Args:
        pid: a process (not a thread), as this PID namespace has it.
        force: allow the host's pid 1.
        helpers: processes of straced: guards, tracers, service.
        root: where proc is mounted.

    Returns:
        The live threads, when the leader has exited and they go on without it: each must be attached to by itself.
        Empty for every other target.

    Raises:
        InvalidArgument: not a pid, or that of a thread.
        AttachError: one of its subclasses; the target was not touched.
    """
    validate_pid(pid, root)
    try:
        return _check(pid, force, helpers, root)
    except procfs.Gone as gone:
        raise NoSuchProcess(f"no such process: {pid}", hint="pgrep -af NAME finds one", pid=pid) from gone
    except PermissionError as error:
        hint = capabilities.sudo_line(pid)
        raise NotPermitted(f"/proc hides process {pid} from you (hidepid)", hint=hint, pid=pid) from error


def _check(pid: int, force: bool, helpers: Collection[int], root: str) -> tuple[int, ...]:
    facts = procfs.stat(pid, root)
    lines = procfs.status(pid, root)
    name = f"{pid} ({facts.comm})"
    leader = int(lines.get("Tgid", pid))
    if leader != pid:
        raise InvalidArgument(f"{name} is a thread of process {leader}", hint=f"use {leader}: all threads are traced")
    if facts.is_kernel_thread:
        raise KernelThread(f"{name} is a kernel thread: it makes no system calls", hint=f"straced why {pid}", pid=pid)
    me = capabilities.caller(root)
    protected.refuse_own(facts, me, force, helpers, root)
    alone = _threads_without_leader(pid, name, facts, root) if facts.state in DEAD else ()
    refusals.refuse_traced(pid, name, int(lines.get("TracerPid", 0)), root)
    refusals.refuse_rights(pid, name, me, lines, root, task=f"{pid}/task/{alone[0]}" if alone else str(pid))
    if (group := cgroups.frozen_by(pid, root)) is not None:
        hint = "thaw it first: a tracer could not detach from it"
        raise FrozenTarget(f"{name} is frozen by its cgroup {group}", hint=hint, pid=pid)
    if me.seccomp == capabilities.SECCOMP_FILTER and capabilities.ptrace_blocked():
        raise refusals.blocked(pid)
    return alone


def _threads_without_leader(pid: int, name: str, facts: procfs.Stat, root: str) -> tuple[int, ...]:
    alive = tuple(tid for tid in procfs.tasks(pid, root) if tid != pid and _lives(f"{pid}/task/{tid}", root))
    if not alive:
        hint = f"its parent {facts.ppid} has not reaped it yet"
        raise TargetIsZombie(f"{name} has already exited (zombie)", hint=hint, pid=pid)
    return alive


def _lives(task: str, root: str) -> bool:
    try:
        return procfs.stat(task, root).state not in DEAD
    except procfs.Gone:
        return False


def explain_refusal(
    pid: int, *, force: bool = False, helpers: Collection[int] = (), strace_error: str = "", root: str = procfs.ROOT
) -> StracedError:
    """Say why a target that :func:`check` had let pass was not traced. May take 20 ms; never raises.

    ``strace_error`` is the last line of strace, which may have failed for a reason of its own.
    """
    try:
        with resources(pid):
            return _explain(pid, force, helpers, strace_error, root)
    except (AttachError, NoResources) as error:
        return error
    except procfs.Gone:
        return NoSuchProcess(f"process {pid} ended while it was attached to", pid=pid)
    except (StracedError, OSError) as error:
        return AttachError(f"process {pid} cannot be traced: {error}", pid=pid)


def _explain(pid: int, force: bool, helpers: Collection[int], strace_error: str, root: str) -> AttachError:
    check(pid, force=force, helpers=helpers, root=root)
    for tid in procfs.tasks(pid, root):
        refusals.refuse_traced(pid, f"thread {tid} of {pid}", procfs.tracer_pid(f"{pid}/task/{tid}", root), root)
    if strace_error and "ptrace(" not in strace_error:
        return AttachError(f"strace gave up: {strace_error}", pid=pid)
    return _unseen_cause(pid, root)


def _unseen_cause(pid: int, root: str) -> AttachError:
    if capabilities.ptrace_blocked():
        return refusals.blocked(pid)
    me = capabilities.caller(root)
    scope = capabilities.yama_scope(root)
    name = f"{pid} ({procfs.stat(pid, root).comm})"
    if scope == 1 and not me.has("SYS_PTRACE"):
        return refusals.yama(scope, pid, name)
    if not capabilities.shares_user_namespace(pid, root):
        reason = f"{name} is outside your user namespace, where you have no rights"
        return NotPermitted(reason, hint="ask from outside of the container, or as root there", pid=pid)
    hint = "a security module may (AppArmor, SELinux): look into the kernel log with dmesg"
    return NotPermitted(f"the kernel refuses to let {name} be traced, and does not say why", hint=hint, pid=pid)
