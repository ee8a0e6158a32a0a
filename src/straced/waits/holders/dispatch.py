"""Who can end a wait. Each kind of wait has one function; what cannot be known is an empty answer, never a guess."""

from __future__ import annotations

from collections.abc import Callable

from straced.linux.procfs import Gone
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders import files, locks, sockets, tasks, watched, ways
from straced.waits.holders.watched import Alternatives
from straced.waits.model import Holder, Wait

Finder = Callable[[ProcSnapshot, RawTask, Wait], list[Holder]]


def alternatives_of(look: ProcSnapshot, raw: RawTask, wait: Wait, asker: Holder | None = None) -> Alternatives:
    """What can end this wait: the tasks that hold it up, and the ways that lead to none.

    Args:
        look: the moment.
        raw: the task that waits.
        wait: its wait.
        asker: how the chain came to this task, ``None`` at its top.
    """
    if wait.kind == "poll":
        try:
            return watched.alternatives(look, raw, wait, asker)
        except Gone:
            return Alternatives([])
    finder = _FINDERS.get(wait.kind)
    found = look.proc.cached("holders", raw.tid, lambda: finder(look, raw, wait)) if finder else []
    return Alternatives(found, () if found else ways.of_wait(look, raw, wait))


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
    }.items()
}
