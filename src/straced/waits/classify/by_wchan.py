"""The class of a wait from the kernel function a task sleeps in, where its call may not be read.

That is the everyday case of Yama's ptrace_scope 1: /proc/PID/syscall and mem are refused, wchan and the descriptors are
not. A resource is named only when the process has just one that fits; function names differ between kernels, and an
unknown one says nothing.
"""

from __future__ import annotations

from straced.waits.classify.descriptors import resource_of
from straced.waits.classify.polls import MAX_WATCHED, epoll_targets, watched_of
from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Resource, Wait

_KINDS = {
    "pipe_read": ("pipe_read", "anon_pipe_read", "fifo_pipe_read", "pipe_wait_readable"),
    "pipe_write": ("pipe_write", "anon_pipe_write", "fifo_pipe_write", "pipe_wait_writable"),
    "child": ("do_wait",),
    "futex": ("futex_wait_queue", "futex_wait_queue_me", "futex_do_wait", "__futex_wait", "futex_wait"),
    "sleep": ("hrtimer_nanosleep", "do_nanosleep", "common_nsleep"),
    "accept": ("inet_csk_accept", "inet_csk_wait_for_connect"),
    "socket_read": ("unix_stream_read_generic", "unix_stream_data_wait", "sk_wait_data", "__skb_wait_for_more_packets"),
    "socket_write": ("sk_stream_wait_memory", "sock_alloc_send_pskb", "sock_wait_for_wmem"),
    "connect": ("inet_stream_connect", "__inet_stream_connect", "inet_wait_for_connect"),
    "lock": ("locks_lock_inode_wait", "flock_lock_inode_wait", "posix_lock_inode_wait", "do_lock_file_wait"),
    "signal": ("do_sigtimedwait", "sigsuspend", "__do_sys_pause", "__x64_sys_pause", "__se_sys_rt_sigsuspend"),
    "tty_read": ("n_tty_read",),
    "event_read": ("eventfd_read", "eventfd_ctx_do_read", "timerfd_read", "signalfd_dequeue", "inotify_read"),
    "io_uring": ("io_cqring_wait",),
    "fifo_open": ("wait_for_partner",),
    "vfork": ("kernel_clone", "wait_for_vfork_done"),
    "epoll": ("ep_poll", "do_epoll_wait"),
    "poll": ("poll_schedule_timeout", "do_poll", "do_sys_poll", "do_select", "core_sys_select"),
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}
_FITTING = {
    "pipe_read": ("pipe",),
    "pipe_write": ("pipe",),
    "socket_read": ("socket",),
    "socket_write": ("socket",),
    "connect": ("socket",),
    "accept": ("socket",),
    "tty_read": ("tty",),
    "event_read": ("eventfd", "timerfd", "signalfd", "inotify"),
    "io_uring": ("io_uring",),
}


def explain(look: ProcSnapshot, raw: RawTask) -> Wait | None:
    """The wait, as far as the kernel function and the descriptors tell."""
    kernel = look.proc.wchan(raw.pid, raw.tid)
    kind = _BY_NAME.get(kernel or "")
    if kind is None:
        return None
    detail = f"its call cannot be read; it sleeps in {kernel}"
    if kind == "epoll":
        own = [fd for fd in fds.listing(look.proc, raw.pid) or () if fd.kind == "eventpoll"]
        found = epoll_targets(look, raw.pid, own[0].number) if len(own) == 1 else None
        watched = tuple(watched_of(look, raw.pid, *each) for each in (found or ())[:MAX_WATCHED])
        if not watched:
            return Wait(kind="hidden", state=raw.state, detail=detail)
        return Wait(kind="poll", state=raw.state, call="epoll_wait", watched=watched, detail=detail)
    if kind == "poll":  # what it watches is in its memory: whether that is work or somebody who is stuck is not known
        kind = "hidden"
    return Wait(kind=kind, state=raw.state, resource=_only(look, raw, kind), detail=detail)


def _only(look: ProcSnapshot, raw: RawTask, kind: str) -> Resource | None:
    """The one thing the process has that such a wait can be about."""
    if kind == "child":
        return Resource(kind="process", name="a child")
    if kind == "futex":
        return Resource(kind="futex", name="futex")
    if kind == "sleep":
        return Resource(kind="timer", name="timer")
    fitting = [fd for fd in fds.listing(look.proc, raw.pid) or () if fd.kind in _FITTING.get(kind, ())]
    if kind.startswith("pipe"):
        own = fds.listing(look.proc, raw.pid) or ()
        fitting = [fd for fd in own if _may_be_it(look, raw, fd, reading=kind == "pipe_read")]
        if any(fd.kind != "pipe" for fd in fitting):
            return None
    things = {fd.link: fd for fd in fitting}
    return resource_of(look, raw.pid, next(iter(things.values())).number) if len(things) == 1 else None


def _may_be_it(look: ProcSnapshot, raw: RawTask, fd: fds.Fd, reading: bool) -> bool:
    """Whether a descriptor may be the pipe: an unnamed one, or a file that may be a FIFO, which has no position."""
    if fd.kind not in ("pipe", "file") or fd.link == b"/dev/null":
        return False
    info = fds.info(look.proc, raw.pid, fd.number)
    if info is None or not (info.reads if reading else info.writes):
        return False
    return fd.kind == "pipe" or info.text.startswith(b"pos:\t0\n")
