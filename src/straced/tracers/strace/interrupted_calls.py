"""Calls that a ptrace attach ends with EINTR: the kernel does not restart them after a stop (signal(7))."""

from __future__ import annotations

from straced.linux import procfs
from straced.model.types import Reason
from straced.text.units import count_of
from straced.tracers.strace.socket_timeouts import timed_call

LOOKED_AT = 100
"""Tasks; with more, the first of them stand for all."""
NOT_RESTARTED = {
    "ep_poll": "epoll_wait",
    "do_epoll_wait": "epoll_wait",
    "do_semtimedop": "semop",
    "__do_semtimedop": "semop",
    "do_sigtimedwait": "sigtimedwait",
    "io_cqring_wait": "io_uring_enter",
    "read_events": "io_getevents",
}
"""Where a task sleeps in the kernel (proc(5), wchan) -> the call it is in."""


def waiting_in(pid: int) -> dict[str, int]:
    """How many tasks of a process are in such a call, by name; empty where wchan may not be read."""
    found: dict[str, int] = {}
    try:
        tids = procfs.tasks(pid)[:LOOKED_AT]
    except procfs.Gone:
        return {}
    for tid in tids:
        try:
            wchan = procfs.read(f"{pid}/task/{tid}/wchan").decode("ascii", "replace")
        except (procfs.Gone, OSError):
            continue
        # compilers name clones do_sigtimedwait.isra.0
        if name := NOT_RESTARTED.get(wchan.partition(".")[0]) or timed_call(pid, tid):
            found[name] = found.get(name, 0) + 1
    return found


def reason(pid: int) -> Reason | None:
    """A word about the calls that the attach is about to interrupt, or ``None``."""
    names = _names(pid)
    return (
        Reason("interrupted", f"the attach made waiting calls return EINTR: {names} (eBPF does not)") if names else None
    )


def warning(pid: int) -> str:
    """The same before an attach, ``""`` when there is nothing to say."""
    names = _names(pid)
    return f"the attach makes waiting calls of {pid} return EINTR: {names} (eBPF does not)" if names else ""


def _names(pid: int) -> str:
    return ", ".join(f"{name} in {count_of(count, 'task')}" for name, count in waiting_in(pid).items())
