"""Turn "these processes have the other end open" into holders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.text.units import count_of
from straced.waits.classify import syscall_args
from straced.waits.facts import runtimes
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import HOLDS, LIKELY, ONE_OF, Holder

_INITIAL_PID_NS = b"pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h: the same number on every machine."""


def from_pids(
    look: ProcSnapshot,
    pids: Iterable[int],
    evidence: str,
    *,
    sure: bool = True,
    numbers: Mapping[int, tuple[int, ...]] | None = None,
) -> list[Holder]:
    """One process holds; of several one is meant.

    Args:
        look: the moment.
        pids: who has the other end, or the lock.
        evidence: what tells so.
        sure: False where somebody could not be looked at.
        numbers: pid -> its descriptors of that end.
    """
    remaining = without_awaited_children(look, sorted(set(pids)))
    alone = HOLDS if sure and len(set(pids)) == 1 else LIKELY
    relation = alone if len(remaining) == 1 else ONE_OF
    return [
        Holder(pid=pid, relation=relation, evidence=evidence, numbers=(numbers or {}).get(pid, ())) for pid in remaining
    ]


def by_process(owners: Iterable[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
    """pid -> its descriptors, of (pid, descriptor) pairs."""
    found: dict[int, tuple[int, ...]] = {}
    for pid, number in owners:
        found[pid] = (*found.get(pid, ()), number)
    return found


def without_awaited_children(look: ProcSnapshot, pids: list[int]) -> list[int]:
    """Leave out those whose own parent is among them and waits for children: the chain leads to them anyway.

    So is ``(make; echo done) | tee log``: the subshell and make both have the pipe, and the subshell waits for make.
    """
    if len(pids) < 2:
        return pids
    waiting = {pid for pid in pids if _waits_for_children(look, pid)}
    dropped = {pid for pid in pids if any(above in waiting for above in procfs.ancestors(pid, look.proc.root)[:8])}
    return [pid for pid in pids if pid not in dropped] or pids


def _waits_for_children(look: ProcSnapshot, pid: int) -> bool:
    try:
        return look.call_name(look.task(pid, pid)) in syscall_args.CHILD | {"vfork"}
    except (Gone, OSError):
        return False


def everybody_seen(look: ProcSnapshot) -> bool:
    """Whether the descriptors of all processes could be read: only then "the only one" can be said.

    From inside a PID namespace the processes outside cannot be seen, and any of them may have a thing open too. So may
    those that hidepid hides.
    """
    known = bool(look.owners.table) and not look.owners.hidden and not look.proc.hides_strangers
    return known and look.proc.link_self("ns/pid") == _INITIAL_PID_NS


def other_threads(look: ProcSnapshot, raw: RawTask) -> list[Holder]:
    """All other threads of a task's own process: one of them has to act.

    Not those that serve the runtime of the program. Any thread of a Go program runs any goroutine: none is one of those
    who hold another up.
    """
    if runtimes.runtime_of(look, raw.pid) == runtimes.GO:
        return []
    alive = [tid for tid in look.tasks(raw.pid) if tid != raw.tid and not has_ended(look, raw.pid, tid)]
    others = [tid for tid in alive if not runtimes.is_helper(look, raw.pid, tid)]
    if len(alive) == 1 and others:
        return [Holder(pid=raw.pid, tid=others[0], relation=LIKELY, evidence="the only other thread of its process")]
    evidence = f"any of the {count_of(len(others), 'other thread')} of its process may wake it"
    return [Holder(pid=raw.pid, tid=tid, relation=ONE_OF, evidence=evidence) for tid in others]


def has_ended(look: ProcSnapshot, pid: int, tid: int | None = None) -> bool:
    """Whether a process or thread is gone, or a zombie."""
    try:
        return look.proc.stat(pid, tid).state in "ZX"
    except (Gone, OSError):
        return True
