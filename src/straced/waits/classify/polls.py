"""What a poll, select or epoll call watches."""

from __future__ import annotations

import re
import struct

import msgspec

from straced.waits.classify import syscall_args
from straced.waits.classify.descriptors import resource_of
from straced.waits.facts import fds
from straced.waits.facts.memory import peek
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Resource, Wait

_TARGET = re.compile(rb"^tfd:\s*(\d+)", re.MULTILINE)
_MAX_WATCHED = 256
INSIDE = frozenset({"eventfd", "timerfd", "signalfd", "inotify", "pidfd", "eventpoll"})
"""Descriptors that no other program's silence stands behind."""


def explain(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait | None:
    """The wait, when ``name`` is one of these calls."""
    if name not in syscall_args.POLLS:
        return None
    if name.startswith("epoll"):
        numbers = epoll_targets(look, raw.pid, raw.args[0] & 0xFFFFFFFF)
    elif name in ("poll", "ppoll"):
        numbers = _poll(look, raw)
    else:
        numbers = _select(look, raw)
    watched = tuple(watched_of(look, raw.pid, number) for number in numbers or ())
    if numbers is not None and not watched:
        return Wait(kind="sleep", state=raw.state, call=call, resource=Resource(kind="timer", name="timeout"))
    detail = "" if numbers is not None else "what it watches cannot be read"
    return Wait(kind="poll", state=raw.state, call=call, watched=watched, detail=detail)


def watched_of(look: ProcSnapshot, pid: int, number: int) -> Resource:
    """A watched descriptor; one whose other end the process has itself is only how it wakes itself."""
    resource = resource_of(look, pid, number)
    return msgspec.structs.replace(resource, internal=True) if _is_own_wakeup(look, pid, resource) else resource


def _is_own_wakeup(look: ProcSnapshot, pid: int, resource: Resource) -> bool:
    own = fds.listing(look.proc, pid) or ()
    if resource.kind == "pipe":
        infos = [fds.info(look.proc, pid, fd.number) for fd in own if fd.kind == "pipe" and fd.inode == resource.inode]
        return any(info and info.writes for info in infos) and any(info and info.reads for info in infos)
    if resource.kind != "unix" or resource.inode is None:
        return resource.kind in INSIDE
    sock = look.sockets.get(pid, resource.inode)
    peer = sock.peer_inode if sock else None
    return peer is not None and any(fd.kind == "socket" and fd.inode == peer for fd in own)


def epoll_targets(look: ProcSnapshot, pid: int, number: int) -> list[int] | None:
    """The descriptors that an epoll descriptor watches: the ``tfd:`` lines of its fdinfo."""
    info = fds.info(look.proc, pid, number)
    if info is None:
        return None
    return [int(word) for word in _TARGET.findall(info.text)][:_MAX_WATCHED]


def _poll(look: ProcSnapshot, raw: RawTask) -> list[int] | None:
    count = min(raw.args[1] & 0xFFFFFFFF, _MAX_WATCHED)
    if count == 0:
        return []
    if not look.proc.is_native(raw.pid):
        return None
    data = peek(look.proc, raw.pid, raw.args[0], count * 8)
    return None if data is None else [fd for fd, _, _ in struct.iter_unpack("<ihh", data) if fd >= 0]


def _select(look: ProcSnapshot, raw: RawTask) -> list[int] | None:
    """The sets are copied back only at the end, so during the call they still are what was asked for."""
    count = min(raw.args[0] & 0xFFFFFFFF, 1024)
    size = (count + 63) // 64 * 8
    found: set[int] = set()
    for address in raw.args[1:4]:
        if address == 0 or size == 0:
            continue
        data = peek(look.proc, raw.pid, address, size) if look.proc.is_native(raw.pid) else None
        if data is None:
            return None
        bits = int.from_bytes(data, "little")
        found |= {number for number in range(count) if bits >> number & 1}
    return sorted(found)
