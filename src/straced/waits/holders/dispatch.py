"""Who can end a wait. Each kind of wait has one function; what cannot be known is an empty answer, never a guess."""

from __future__ import annotations

from collections.abc import Callable

from straced.linux.procfs import Gone
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import files, locks, sockets, tasks
from straced.waits.model import LIKELY, Holder, Resource, Wait

Finder = Callable[[ProcSnapshot, RawTask, Wait], list[Holder]]

_MAX_POLLED = 8


def holders_of(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The tasks that can end this wait; computed once a look."""
    finder = _FINDERS.get(wait.kind)
    return look.proc.cached("holders", raw.tid, lambda: finder(look, raw, wait)) if finder else []


def _polled(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """A poll is followed when all that it watches outside its own process leads to one other process.

    A listening socket makes it a server that waits for anybody, and several peers leave open which one is meant.
    """
    outside = [resource for resource in wait.watched if not resource.internal]
    if not outside or len(outside) > _MAX_POLLED or any("(listening)" in resource.name for resource in outside):
        return []
    found: dict[int, Holder] = {}
    for resource in outside:
        holders = _one_polled(look, raw, resource)
        if holders is None:
            return []
        found |= {holder.pid: holder for holder in holders if holder.pid != raw.pid}
    if len(found) != 1 and len(outside) > 1:
        return []
    if len(outside) == 1 and (len(wait.watched) == 1 or raw.stat.num_threads == 1):
        return list(found.values())
    return [Holder(pid=h.pid, tid=h.tid, relation=LIKELY, evidence=h.evidence) for h in found.values()]


def _one_polled(look: ProcSnapshot, raw: RawTask, resource: Resource) -> list[Holder] | None:
    """Who stands behind one watched descriptor; ``None`` when nobody on this machine is known to."""
    wait = Wait(kind="poll", state=raw.state, resource=resource)
    if resource.kind in ("pipe", "fifo"):
        return files.polled_pipe(look, raw, wait)
    if resource.kind in ("unix", "tcp", "udp"):
        return sockets.peer(look, raw, wait) or None
    return None


def _safely(finder: Finder) -> Finder:
    def find(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
        try:
            return finder(look, raw, wait)
        except Gone:
            return []

    return find


_FINDERS: dict[str, Finder] = {
    kind: _safely(finder)
    for kind, finder in {
        "pipe_read": files.pipe,
        "pipe_write": files.pipe,
        "job_token": files.job_tokens,
        "tty_write": files.terminal,
        "file_io": files.file_server,
        "socket_read": sockets.peer,
        "socket_write": sockets.peer,
        "connect": sockets.listener,
        "lock": locks.lock,
        "lease": locks.lease,
        "mutex": tasks.futex,
        "join": tasks.futex,
        "futex": tasks.futex,
        "child": tasks.child,
        "vfork": tasks.vfork_child,
        "traced": tasks.tracer,
        "zombie": tasks.parent,
        "poll": _polled,
    }.items()
}
