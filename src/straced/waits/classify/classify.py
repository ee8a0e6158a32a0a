"""One task -> its :class:`~straced.waits.model.Wait`. What it waits in is read here, who can end it in ``holders``."""

from __future__ import annotations

import os

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.waits.classify import (
    by_wchan,
    descriptors,
    file_systems,
    frozen_file_systems,
    polls,
    requests,
    syscall_args,
    tasks,
)
from straced.waits.classify.titles import title_of
from straced.waits.facts import fds
from straced.waits.facts.freezer import frozen_by
from straced.waits.facts.locks import FileLock
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.files import is_job_server
from straced.waits.model import Resource, Wait

_TITLED = frozenset({"poll", "event_read", "futex", "ipc", "socket_read"})
"""Waits in which a server's own title tells more than the call."""


def wait_of(look: ProcSnapshot, raw: RawTask) -> Wait:
    """Explain one task; computed once a look."""
    return look.proc.cached("wait", raw.tid, lambda: _wait_of(look, raw))


def _wait_of(look: ProcSnapshot, raw: RawTask) -> Wait:
    wait = _by_state(look, raw) or _by_call(look, raw)
    if wait.kind in ("running", "asking", "zombie", "dead"):
        return wait
    if wait.kind == "file_io":
        wait = file_systems.with_mount(look, raw, wait)
    since = look.clock.since_ns(raw.pid, raw.tid)
    left = tasks.time_left_ns(look, raw, since) if wait.left_ns is None else wait.left_ns
    return Wait(
        kind=wait.kind,
        state=raw.state,
        call=wait.call,
        resource=wait.resource,
        watched=wait.watched,
        since_ns=since,
        left_ns=left,
        bounded=tasks.has_timeout(look, raw),
        kernel=look.proc.wchan(raw.pid, raw.tid),
        address=wait.address,
        detail=wait.detail,
        for_ever=wait.for_ever,
        runtime=wait.runtime,
        helper=wait.helper,
        request=requests.outstanding(look, raw, wait),
        refused=_refused() if wait.kind == "hidden" else "",
        title=title_of(look, raw) if wait.kind in _TITLED else "",
    )


def _by_state(look: ProcSnapshot, raw: RawTask) -> Wait | None:
    """What the state alone settles: stopped, traced, frozen, ended, running, a kernel thread."""
    state = raw.state
    if raw.pid == os.getpid() and look.proc.root == procfs.ROOT:
        return Wait(kind="asking", state=state)
    if state in "ZX":
        return Wait(kind="zombie" if state == "Z" else "dead", state=state)
    if raw.stat.is_kernel_thread:
        return Wait(kind="kernel", state=state)
    if state == "t":
        return Wait(kind="traced", state=state, call=_label(look, raw))
    cgroup = frozen_by(look.proc, raw.pid) if state in "SDT" else None
    if cgroup is not None:
        resource = Resource(kind="cgroup", name=cgroup)
        return Wait(kind="frozen", state=state, resource=resource, call=_label(look, raw))
    if state == "T":
        return Wait(kind="stopped", state=state, call=_label(look, raw))
    return Wait(kind="running", state=state) if state == "R" else None


def _label(look: ProcSnapshot, raw: RawTask) -> str | None:
    name = look.call_name(raw)
    return syscall_args.label(name, raw.args) if name else None


def _by_call(look: ProcSnapshot, raw: RawTask) -> Wait:
    name = look.call_name(raw)
    if name is None:
        return _outside_calls(look, raw)
    if name == "restart_syscall":
        name = syscall_args.RESTARTED.get(look.proc.wchan(raw.pid, raw.tid) or "", name)
    call = syscall_args.label(name, raw.args)
    for explain in (frozen_file_systems.explain, tasks.explain, polls.explain, descriptors.explain):
        wait = explain(look, raw, name, call)
        if wait is not None:
            return _job_token(look, raw, wait) or wait
    if raw.state == "D":
        return Wait(kind="file_io", state="D", call=call)
    return Wait(kind="other", state=raw.state, call=call)


def _job_token(look: ProcSnapshot, raw: RawTask, wait: Wait) -> Wait | None:
    """A make reads or watches its job server while it waits for a token (and, the same way, for its recipes)."""
    resource = wait.watched[0] if wait.kind == "poll" and len(wait.watched) == 1 else wait.resource
    if wait.kind not in ("poll", "pipe_read") or resource is None or resource.fd is None:
        return None
    if not is_job_server(look, raw, resource.fd):
        return None
    return Wait(kind="job_token", state=wait.state, call=wait.call, resource=resource)


def _locked_file(look: ProcSnapshot, raw: RawTask, lock: FileLock) -> Resource:
    """The file of a lock, by the descriptor of it that the process has, where descriptors may be read."""
    for fd in fds.listing(look.proc, raw.pid) or ():
        info = fds.info(look.proc, raw.pid, fd.number) if fd.kind == "file" else None
        if info and info.inode == lock.inode and fds.mount_device(look.proc, raw.pid, info.mount) == lock.device:
            return Resource(kind="lock", name=fd.name, inode=lock.inode, fd=fd.number)
    return Resource(kind="lock", name=f"inode {lock.inode}", inode=lock.inode)


def _outside_calls(look: ProcSnapshot, raw: RawTask) -> Wait:
    """In no call (a page fault), or in one that may not be read: then /proc/locks may know, it is open to all."""
    if raw.number == -1:
        return frozen_file_systems.page_fault(look, raw) or Wait(kind="memory", state=raw.state)
    if raw.readable:
        return Wait(kind="other", state=raw.state)  # it ran between two reads
    waiting = look.locks.waiting(raw.pid)
    try:
        alone = len(list(look.tasks(raw.pid))) == 1
    except Gone:
        alone = False
    if len(waiting) == 1 and alone:
        lock = waiting[0]
        return Wait(kind="lock", state=raw.state, resource=_locked_file(look, raw, lock), detail=lock.text())
    return by_wchan.explain(look, raw) or Wait(kind="hidden", state=raw.state)


def _refused() -> str:
    """What one who asks can do about a wait that may not be read: root is refused by a capability or a module."""
    return "root is refused the details, too" if os.geteuid() == 0 else "details need root"
