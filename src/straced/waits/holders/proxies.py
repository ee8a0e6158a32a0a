"""The one in the middle: what a proxy or broker may wait for on behalf of the one that asks it.

Nothing tells which connection belongs to which. The asker's own is taken out, and the others stand in the order in
which they last moved: those first that it opened itself, asked something and got no answer of; then what has no times,
and others that came to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from straced.linux.procfs import Gone
from straced.text.units import format_ns
from straced.waits.classify.polls import MAX_WATCHED, Watched, epoll_targets, watched_of
from straced.waits.facts import fds
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.behind import behind
from straced.waits.model import Resource

_MOST_RANKED = 64
_ASKED, _ANSWERED, _UNTIMED, _CLIENT, _FAMILY, _OWN, _LISTENING = range(7)


def candidates(
    look: ProcSnapshot, raw: RawTask, watched: Sequence[Resource], asked_through: tuple[int, ...]
) -> list[Resource]:
    """What a task that polls may wait for, while somebody waits for it behind the descriptors ``asked_through``."""
    ranked = look.proc.cached("ranked", raw.tid, lambda: _ranked(look, raw, watched))
    return [one for one in ranked if one.fd not in asked_through]


def is_watched(look: ProcSnapshot, raw: RawTask, watched: Sequence[Resource], numbers: tuple[int, ...]) -> bool:
    """Whether a task that polls watches one of these descriptors, among however many."""
    if any(one.fd in numbers for one in watched):
        return True
    if len(watched) < MAX_WATCHED or not numbers:
        return False
    everything = look.proc.cached("watched", raw.tid, lambda: {number for number, _ in _all_watched(look, raw)})
    return not everything.isdisjoint(numbers)


def count(look: ProcSnapshot, raw: RawTask, watched: Sequence[Resource]) -> int:
    """How many descriptors are watched in all."""
    return len(_all_watched(look, raw)) if len(watched) >= MAX_WATCHED else len(watched)


def are_answered(look: ProcSnapshot, raw: RawTask, watched: Sequence[Resource]) -> bool:
    """Whether something came on each of these connections after the last was sent: then none of them owes an answer."""
    space = look.sockets.namespace(raw.pid)
    times = [space.tcp_times.get(one.inode or 0) for one in watched if not one.internal and one.kind == "tcp"]
    others = [one for one in watched if not one.internal and one.kind != "tcp"]
    return bool(times) and not others and all(each is not None and not each.is_owed for each in times)


def asked(look: ProcSnapshot, raw: RawTask, resource: Resource) -> str:
    """What TCP knows of a connection that the one in the middle has made, and that owes it an answer; else ``""``."""
    times = look.sockets.namespace(raw.pid).tcp_times.get(resource.inode or 0) if resource.kind == "tcp" else None
    if times is None or not times.is_unanswered or is_client(look, raw, resource):
        return ""
    return f"{raw.tid} sent data {format_ns(times.sent_ms * 10**6)} ago, and nothing came back since"


def _all_watched(look: ProcSnapshot, raw: RawTask) -> list[Watched]:
    is_epoll = (look.call_name(raw) or "").startswith("epoll")
    return (epoll_targets(look, raw.pid, raw.args[0] & 0xFFFFFFFF) or []) if is_epoll else []


def _ranked(look: ProcSnapshot, raw: RawTask, watched: Sequence[Resource]) -> list[Resource]:
    if len(watched) >= MAX_WATCHED:
        watched = [*_latest(look, raw), *watched[:_MOST_RANKED]]
    distinct = {one.fd: one for one in watched}
    return sorted(distinct.values(), key=lambda one: _rank(look, raw, one))


def _rank(look: ProcSnapshot, raw: RawTask, resource: Resource) -> tuple[int, int]:
    if "(listening)" in resource.name:
        return _LISTENING, 0
    if resource.internal:
        return _OWN, 0
    times = look.sockets.namespace(raw.pid).tcp_times.get(resource.inode or 0) if resource.kind == "tcp" else None
    if times is not None and is_client(look, raw, resource):
        return _CLIENT, times.moved_ms
    if times is not None:
        return (_ASKED if times.is_owed else _ANSWERED), times.moved_ms
    return (_FAMILY if _is_family(look, raw, resource) else _UNTIMED), 0


def is_client(look: ProcSnapshot, raw: RawTask, resource: Resource) -> bool:
    """Whether a TCP connection came to this process, by its port."""
    served = look.sockets.namespace(raw.pid).served_ports
    return resource.kind == "tcp" and resource.name.rpartition(":")[2] in served


def _is_family(look: ProcSnapshot, raw: RawTask, resource: Resource) -> bool:
    """Whether a parent or child is at the other end: how a server's processes talk among themselves."""
    for holder in behind(look, raw, resource):
        try:
            if holder.pid == raw.stat.ppid or look.proc.stat(holder.pid).ppid == raw.pid:
                return True
        except (Gone, OSError):
            continue
    return False


def _latest(look: ProcSnapshot, raw: RawTask) -> list[Resource]:
    """Of very many connections those that moved last; only the first ones of a wait are described."""
    times = look.sockets.namespace(raw.pid).tcp_times
    found = []
    for number, wants in _all_watched(look, raw):
        fd = fds.get(look.proc, raw.pid, number)
        if fd is not None and fd.kind == "socket" and fd.inode in times:
            each = times[fd.inode]
            found.append((not each.is_owed, each.moved_ms, number, wants))
    return [watched_of(look, raw.pid, number, wants) for _, _, number, wants in sorted(found)[:_MOST_RANKED]]
