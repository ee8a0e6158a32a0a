"""The kernel's rules for who may trace whom, and the error that each of them ends in.

Sources: ptrace(2) "Ptrace access mode checking", __ptrace_may_access of kernel/ptrace.c, capabilities(7).
"""

from __future__ import annotations

import os

from straced.errors import (
    AlreadyTraced,
    AttachError,
    MissingCapability,
    NotDumpable,
    NotPermitted,
    PtraceBlocked,
    YamaScope,
)
from straced.linux import capabilities, procfs


def refuse_traced(pid: int, name: str, tracer: int, root: str) -> None:
    """Raise AlreadyTraced when there is a tracer; its name comes along."""
    if tracer:
        try:
            comm = procfs.stat(tracer, root).comm
        except (procfs.Gone, OSError):
            comm = "?"
        hint = 'the kernel allows one tracer per process: wait until it is done, or use tracer="ebpf"'
        raise AlreadyTraced(tracer, f"{name} is traced already, by {tracer} ({comm})", hint=hint, pid=pid)


def refuse_rights(pid: int, name: str, me: capabilities.Caller, lines: dict[str, str], root: str, *, task: str) -> None:
    """Raise what the ids, the capabilities and Yama forbid for certain.

    ``task`` is below ``root``; it has memory still, which a leader that exited has not, so that it can tell of it.
    """
    scope = capabilities.yama_scope(root)
    if scope == 3:
        raise yama(scope, pid, name)
    if me.has("SYS_PTRACE"):
        return
    uids, gids = ({int(word) for word in lines[key].split()[:3]} for key in ("Uid", "Gid"))
    sudo = capabilities.sudo_line(pid)
    if uids != {me.uid} or gids != {me.gid}:
        raise _not_ours(pid, name, me, uids, sudo)
    if not _dumpable(task, me.uid, root):
        raise NotDumpable(f"{name} is not dumpable (PR_SET_DUMPABLE)", hint=sudo, pid=pid)
    if int(lines["CapPrm"], 16) & ~me.permitted:
        raise MissingCapability(f"{name} has capabilities that you do not have", hint=sudo, pid=pid)
    if scope == 2:
        raise yama(scope, pid, name)


def _not_ours(pid: int, name: str, me: capabilities.Caller, uids: set[int], sudo: str) -> AttachError:
    if me.uid == 0:
        hint = "in a container: start it with --cap-add SYS_PTRACE"
        return MissingCapability(f"{name}: you are root, without CAP_SYS_PTRACE", hint=hint, pid=pid)
    owner = next(iter(uids - {me.uid}), me.uid)
    if me.uid in uids:
        what = f"runs with the rights of another user or group (uid {owner})"
    else:
        what = f"belongs to uid {owner}, and you are uid {me.uid}"
    return NotPermitted(f"{name} {what}", uid=owner, hint=sudo, pid=pid)


def _dumpable(task: str, uid: int, root: str) -> bool:
    """The kernel gives the files in /proc/PID of a process that is not dumpable to root (proc(5))."""
    return uid == 0 or os.stat(f"{root}/{task}/status").st_uid != 0


def yama(scope: int, pid: int, name: str) -> YamaScope:
    """The error of a scope, with the way round it."""
    if scope >= 3:
        reason = f"{name}: no process may be traced until reboot (kernel.yama.ptrace_scope = 3)"
        return YamaScope(scope, reason, hint='tracer="ebpf" needs no ptrace', pid=pid)
    who = "only root may trace" if scope == 2 else "you may trace only what straced started"
    ways = "" if scope == 2 else "start it with: spawn(argv) or gate(argv), or type\n"
    reason = f"{name}: {who} (kernel.yama.ptrace_scope = {scope})"
    return YamaScope(scope, reason, hint=f"{ways}{capabilities.sudo_line(pid)}", pid=pid)


def blocked(pid: int) -> PtraceBlocked:
    """The error of a seccomp filter over straced."""
    hint = "in a container: start it with --cap-add SYS_PTRACE or --security-opt seccomp=unconfined"
    return PtraceBlocked(f"a seccomp filter refuses ptrace here, so {pid} cannot be traced", hint=hint, pid=pid)
