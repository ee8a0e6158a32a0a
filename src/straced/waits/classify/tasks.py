"""Waits for tasks and time: futexes, children, sleeps, signals, queues, rings."""

from __future__ import annotations

import time

from straced.linux import procfs
from straced.waits.classify import syscall_args
from straced.waits.facts import fds, futexes, pid_namespaces, runtimes
from straced.waits.facts.memory import timespec_ns
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Resource, Wait

_P_ALL, _P_PID, _P_PGID, _P_PIDFD = 0, 1, 2, 3
_TIMER_ABSTIME = 1
_CLONE_VFORK = 0x4000


def explain(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait | None:
    """The wait, when ``name`` is a call of this kind."""
    state = raw.state
    if name in syscall_args.FUTEXES:
        return _futex(look, raw, name)
    if name in syscall_args.CHILD:
        return Wait(kind="child", state=state, call=call, resource=_children(look, raw, name))
    if name in syscall_args.SPAWNS and state in "DS" and _is_vfork(look, raw, name):
        return Wait(kind="vfork", state=state, call=call)
    if name in syscall_args.SLEEPS:
        return Wait(kind="sleep", state=state, call=call, resource=Resource(kind="timer", name="timer"))
    if name in syscall_args.SIGNALS:
        return Wait(kind="signal", state=state, call=call)
    if name in syscall_args.IPC:
        identifier = f"{'queue' if name.startswith('m') else 'semaphore set'} {raw.args[0]}"
        return Wait(kind="ipc", state=state, call=call, resource=Resource(kind="ipc", name=identifier))
    if name in syscall_args.RINGS:
        resource = Resource(
            kind="io_uring" if "uring" in name else "aio", name="io_uring" if "uring" in name else "aio"
        )
        return Wait(kind="io_uring", state=state, call=call, resource=resource)
    return None


def _futex(look: ProcSnapshot, raw: RawTask, name: str) -> Wait:
    futex = futexes.inspect(look, raw, name)
    kind = {"mutex": "mutex", "rwlock": "mutex", "join": "join"}.get(futex.kind, "futex")
    word = {"mutex": "mutex", "rwlock": "rwlock", "join": "thread"}.get(futex.kind, "futex")
    where = "" if futex.private else " in shared memory"
    name_ = f"{word} {futex.owner[1]}" if futex.kind == "join" and futex.owner else f"{word} {futex.address:#x}{where}"
    return Wait(
        kind=kind,
        state=raw.state,
        call=name,
        resource=Resource(kind="futex", name=name_),
        address=futex.address,
        detail=futex.owner_lost,
        for_ever=futex.for_ever,
        runtime=runtimes.runtime_of(look, raw.pid) if raw.stat.num_threads > 1 else "",
        helper=runtimes.is_helper(look, raw.pid, raw.tid),
    )


def _children(look: ProcSnapshot, raw: RawTask, name: str) -> Resource:
    number = _wanted_child(look, raw, name)
    if number is None:
        return Resource(kind="process", name="any child")
    if not pid_namespaces.is_nested(look, raw.pid):
        return Resource(kind="process", name=f"child {number}")
    pid = pid_namespaces.called(look, raw.pid, number, procfs.children(raw.pid, look.proc.root))
    if pid is None:
        return Resource(kind="process", name=f"child {number} of its PID namespace, which cannot be found here")
    return Resource(kind="process", name=f"child {pid}, which it calls {number} in its PID namespace")


def wanted_children(look: ProcSnapshot, raw: RawTask, name: str) -> list[int]:
    """The children a task waits for, as pids; those of all its threads, as wait(2) has it."""
    children = procfs.children(raw.pid, look.proc.root)
    number = _wanted_child(look, raw, name)
    if number is not None:
        pid = pid_namespaces.called(look, raw.pid, number, children)
        return [pid] if pid is not None else []
    group = _wanted_group(raw, name)
    if group is None:
        return children
    if group == 0:
        return [child for child in children if _group_of(look, child) == raw.stat.pgrp]
    return [child for child in children if pid_namespaces.number_in(look, raw.pid, child, "NSpgid") == group]


def _group_of(look: ProcSnapshot, pid: int) -> int:
    try:
        return look.proc.stat(pid).pgrp
    except (procfs.Gone, OSError):
        return -1


def _wanted_child(look: ProcSnapshot, raw: RawTask, name: str) -> int | None:
    """The one child that is waited for, as the task itself calls it."""
    if not raw.args:
        return None
    first, second = _signed(raw.args[0]), _signed(raw.args[1])
    if name != "waitid":
        return first if first > 0 else None
    if first == _P_PIDFD:
        pid = fds.pidfd_target(look.proc, raw.pid, second)
        return pid_namespaces.number_in(look, raw.pid, pid) if pid is not None else None
    return second if first == _P_PID else None


def _wanted_group(raw: RawTask, name: str) -> int | None:
    """The process group that is waited for, 0 for the own one; ``None`` when the group does not matter."""
    if not raw.args:
        return None
    first, second = _signed(raw.args[0]), _signed(raw.args[1])
    if name == "waitid":
        return second if first == _P_PGID else None
    return -first if first < -1 else 0 if first == 0 else None


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def _is_vfork(look: ProcSnapshot, raw: RawTask, name: str) -> bool:
    if name == "vfork" or (name == "clone" and raw.args[0] & _CLONE_VFORK):
        return True
    return look.proc.wchan(raw.pid, raw.tid) in ("kernel_clone", "wait_for_vfork_done", "_do_fork")


_TIMEOUT_POINTERS = {"ppoll": 2, "select": 4, "_newselect": 4, "pselect6": 4, "epoll_pwait2": 3, "futex_waitv": 3} | {
    "rt_sigtimedwait": 2, "semtimedop": 3, "mq_timedreceive": 4, "mq_timedsend": 4, "io_getevents": 4, "futex_wait": 4
}  # fmt: skip
"""Call -> which argument points at a timeout; NULL is for ever."""
_RELATIVE_TIMESPECS = frozenset({"ppoll", "pselect6", "epoll_pwait2", "rt_sigtimedwait", "semtimedop"})


def has_timeout(look: ProcSnapshot, raw: RawTask) -> bool:
    """Whether a task goes on by itself at some time. restart_syscall(2) is what timed waits alone are resumed with."""
    name = look.call_name(raw)
    if name is None or not raw.args:
        return False
    if name in syscall_args.SLEEPS or name == "restart_syscall":
        return True
    if name in _TIMEOUT_POINTERS:
        return raw.args[_TIMEOUT_POINTERS[name]] != 0
    if name in ("poll", "epoll_wait", "epoll_pwait"):
        return _signed(raw.args[2 if name == "poll" else 3]) >= 0
    return name == "futex" and futexes.inspect(look, raw, name).timeout != 0


def time_left_ns(look: ProcSnapshot, raw: RawTask, since_ns: int | None) -> int | None:
    """What is left of the time a task set itself; ``None`` for none, or where it cannot be read."""
    name = look.call_name(raw)
    if name is None or not look.proc.is_native(raw.pid):
        return None
    if name == "restart_syscall":
        return None
    relative: int | None = None
    if name == "clock_nanosleep":
        wanted = timespec_ns(look.proc, raw.pid, raw.args[2])
        if wanted is not None and raw.args[1] & _TIMER_ABSTIME:
            return _until(wanted, realtime=_signed(raw.args[0]) == 0)
        relative = wanted
    elif name == "nanosleep":
        relative = timespec_ns(look.proc, raw.pid, raw.args[0])
    elif name in _RELATIVE_TIMESPECS:
        relative = timespec_ns(look.proc, raw.pid, raw.args[_TIMEOUT_POINTERS[name]])
    elif name in ("poll", "epoll_wait", "epoll_pwait"):
        milliseconds = _signed(raw.args[2 if name == "poll" else 3])
        relative = milliseconds * 10**6 if milliseconds >= 0 else None
    elif name == "futex":
        futex = futexes.inspect(look, raw, name)
        wanted = timespec_ns(look.proc, raw.pid, futex.timeout) if futex.timeout and futex.owner is None else None
        if wanted is not None and futex.absolute:
            return _until(wanted, futex.realtime)
        relative = wanted
    return max(0, relative - since_ns) if relative is not None and since_ns is not None else None


def _until(wanted_ns: int, realtime: bool) -> int:
    now = time.time_ns() if realtime else time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return max(0, wanted_ns - now)
