"""What a poll, select or epoll call watches, and for what."""

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

_TARGET = re.compile(rb"^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+)", re.MULTILINE)
MAX_WATCHED = 256
"""Of more, the first ones are described."""
_MAX_NESTED = 3
_READABLE, _WRITABLE, _HANGUP = 0x1 | 0x2 | 0x40 | 0x80, 0x4 | 0x100 | 0x200, 0x8 | 0x10 | 0x2000
"""POLLIN, POLLPRI, POLLRDNORM, POLLRDBAND; POLLOUT, POLLWRNORM, POLLWRBAND; POLLERR, POLLHUP, POLLRDHUP."""
INSIDE = frozenset({"eventfd", "timerfd", "signalfd", "inotify", "fanotify", "pidfd", "eventpoll", "io_uring"})
"""Descriptors that no other program's silence stands behind."""
Watched = tuple[int, str]
"""(descriptor, what for: a word of :attr:`straced.waits.model.Resource.wants`)."""


def explain(look: ProcSnapshot, raw: RawTask, name: str, call: str) -> Wait | None:
    """The wait, when ``name`` is one of these calls."""
    if name not in syscall_args.POLLS:
        return None
    if name.startswith("epoll"):
        found = epoll_targets(look, raw.pid, raw.args[0] & 0xFFFFFFFF)
    elif name in ("poll", "ppoll"):
        found = _poll(look, raw)
    else:
        found = _select(look, raw)
    watched = tuple(watched_of(look, raw.pid, *each) for each in (found or ())[:MAX_WATCHED])
    if found is not None and not watched:
        return Wait(kind="sleep", state=raw.state, call=call, resource=Resource(kind="timer", name="timeout"))
    detail = "" if found is not None else "what it watches cannot be read"
    return Wait(kind="poll", state=raw.state, call=call, watched=watched, detail=detail)


def watched_of(look: ProcSnapshot, pid: int, number: int, wants: str = "") -> Resource:
    """A watched descriptor; one whose other end the process has itself is only how it wakes itself."""
    resource = resource_of(look, pid, number)
    internal = _is_own_wakeup(look, pid, resource)
    return msgspec.structs.replace(resource, wants=wants, internal=internal)


def _is_own_wakeup(look: ProcSnapshot, pid: int, resource: Resource) -> bool:
    if resource.kind == "pipe" and resource.inode is not None:
        numbers = fds.numbers_of(look.proc, pid, b"pipe:[%d]" % resource.inode)
        infos = [fds.info(look.proc, pid, number) for number in numbers]
        return any(info and info.writes for info in infos) and any(info and info.reads for info in infos)
    if resource.kind != "unix" or resource.inode is None:
        return resource.kind in INSIDE
    sock = look.sockets.get(pid, resource.inode)
    peer = sock.peer_inode if sock else None
    return peer is not None and bool(fds.numbers_of(look.proc, pid, b"socket:[%d]" % peer))


def epoll_targets(look: ProcSnapshot, pid: int, number: int) -> list[Watched] | None:
    """The descriptors that an epoll descriptor watches: the ``tfd:`` lines of its fdinfo.

    An epoll descriptor among them stands for what it watches itself. One that is disarmed (EPOLLONESHOT) has no events
    left, not even errors, and is not watched.
    """
    return look.proc.cached(f"epoll {number}", pid, lambda: _targets(look, pid, number, 0))


def _targets(look: ProcSnapshot, pid: int, number: int, depth: int) -> list[Watched] | None:
    info = fds.info(look.proc, pid, number)
    if info is None:
        return None
    found: list[Watched] = []
    for fd, events in _TARGET.findall(info.text):
        wants = _wants(int(events, 16))
        if not wants:
            continue
        link = look.proc.link(pid, f"fd/{int(fd)}") if depth < _MAX_NESTED else None
        nested = _targets(look, pid, int(fd), depth + 1) if link == b"anon_inode:[eventpoll]" else None
        found += nested if nested is not None else [(int(fd), wants)]
    return found


def _wants(events: int) -> str:
    words = [word for word, bits in (("read", _READABLE), ("write", _WRITABLE)) if events & bits]
    return " ".join(words) or ("close" if events & _HANGUP else "")


def _poll(look: ProcSnapshot, raw: RawTask) -> list[Watched] | None:
    count = min(raw.args[1] & 0xFFFFFFFF, MAX_WATCHED)
    if count == 0:
        return []
    if not look.proc.is_native(raw.pid):
        return None
    data = peek(look.proc, raw.pid, raw.args[0], count * 8)
    if data is None:
        return None
    return [(fd, _wants(events) or "close") for fd, events, _ in struct.iter_unpack("<ihh", data) if fd >= 0]


def _select(look: ProcSnapshot, raw: RawTask) -> list[Watched] | None:
    """The sets are copied back only at the end, so during the call they still are what was asked for."""
    count = min(raw.args[0] & 0xFFFFFFFF, 1024)
    size = (count + 63) // 64 * 8
    found: dict[int, set[str]] = {}
    for address, word in zip(raw.args[1:4], ("read", "write", "read"), strict=True):
        if address == 0 or size == 0:
            continue
        data = peek(look.proc, raw.pid, address, size) if look.proc.is_native(raw.pid) else None
        if data is None:
            return None
        bits = int.from_bytes(data, "little")
        for number in range(count):
            if bits >> number & 1:
                found.setdefault(number, set()).add(word)
    return [(number, " ".join(sorted(words))) for number, words in sorted(found.items())]
