"""Who stands behind one descriptor that is watched."""

from __future__ import annotations

import re

from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import files, sockets
from straced.waits.model import HOLDS, ONE_OF, Holder, Resource, Wait

_PID = re.compile(rb"^Pid:\s*(-?\d+)", re.MULTILINE)
_EVENTFD_ID = re.compile(rb"^eventfd-id:\s*(\d+)", re.MULTILINE)
_MOST_EVENTFDS = 2048


def behind(look: ProcSnapshot, raw: RawTask, resource: Resource) -> list[Holder]:
    """The processes at the other end of a watched descriptor; computed once a look."""
    wait = Wait(kind="poll", state=raw.state, resource=resource)
    what = f"behind {resource.fd} {resource.wants}"
    return look.proc.cached(what, raw.pid, lambda: _behind(look, raw, wait, resource))


def _behind(look: ProcSnapshot, raw: RawTask, wait: Wait, resource: Resource) -> list[Holder]:
    if resource.kind in ("pipe", "fifo", "file"):
        return files.polled_pipe(look, raw, wait)
    if resource.kind in ("unix", "tcp", "udp"):
        return sockets.peer(look, raw, wait)
    info = fds.info(look.proc, raw.pid, resource.fd) if resource.fd is not None else None
    if info is not None and resource.kind == "pidfd":
        return _process(info)
    if info is not None and resource.kind == "eventfd":
        return _sharers(look, raw, info)
    return []


def _process(info: fds.FdInfo) -> list[Holder]:
    """The process whose end a pidfd tells; -1 once it has ended (pidfd_open(2))."""
    match = _PID.search(info.text)
    pid = int(match[1]) if match else 0
    return [Holder(pid=pid, relation=HOLDS, evidence=f"pidfd: {pid} runs on")] if pid > 0 else []


def _sharers(look: ProcSnapshot, raw: RawTask, info: fds.FdInfo) -> list[Holder]:
    """Other processes that have the same eventfd, by the number that newer kernels give it."""
    match = _EVENTFD_ID.search(info.text)
    pids = look.proc.cached("eventfds", 0, lambda: _eventfds(look)).get(int(match[1]), set()) if match else set()
    others = sorted(pids - {raw.pid})
    return [
        Holder(pid=pid, relation=ONE_OF, evidence=f"has the eventfd {match[1].decode()}") for pid in others if match
    ]


def _eventfds(look: ProcSnapshot) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for pid, number in look.owners.table.get(b"anon_inode:[eventfd]", [])[:_MOST_EVENTFDS]:
        info = fds.info(look.proc, pid, number)
        match = _EVENTFD_ID.search(info.text) if info else None
        if match:
            found.setdefault(int(match[1]), set()).add(pid)
    return found
