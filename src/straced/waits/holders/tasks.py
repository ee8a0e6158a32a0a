"""Waits that end by what another task does: futexes, children, tracers, parents."""

from __future__ import annotations

import ctypes

from straced import syscalls
from straced.linux import procfs
from straced.waits.classify import tasks
from straced.waits.facts import futexes
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.holders.common import has_ended, other_threads
from straced.waits.model import HOLDS, LIKELY, ONE_OF, Holder, Wait

_KCMP_VM = 1


def futex(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The owner of a mutex or the thread that is joined; else all that could wake the futex."""
    if wait.helper:
        return []
    if not raw.args:  # the call cannot be read: which futex it is, and whose, is not known
        return [Holder(pid=h.pid, tid=h.tid, relation=ONE_OF, evidence=h.evidence) for h in other_threads(look, raw)]
    facts = futexes.inspect(look, raw, wait.call or "futex")
    if facts.for_ever:
        return []
    if facts.owner is not None:
        pid, tid = facts.owner
        if facts.kind == "join":
            evidence = f"{facts.address:#x} holds the TID {tid}, which the kernel clears when that thread ends"
        else:
            evidence = f"the {facts.kind} at {facts.address:#x} names thread {tid} as its owner"
        return [Holder(pid=pid, tid=tid, relation=HOLDS if facts.certain else LIKELY, evidence=evidence)]
    if facts.private:
        return other_threads(look, raw)
    return _other_mappers(look, raw, facts)


def _other_mappers(look: ProcSnapshot, raw: RawTask, facts: futexes.Futex) -> list[Holder]:
    page = futexes.mapping(look, raw.pid, facts.address)
    if page is None:
        return other_threads(look, raw)
    others = [
        pid for pid in procfs.pids(look.proc.root) if pid != raw.pid and page in futexes.shared_mappings(look, pid)
    ]
    sure = len(others) == 1 and raw.stat.num_threads == 1
    evidence = f"maps the page of the futex at {facts.address:#x}"
    return [Holder(pid=pid, relation=LIKELY if sure else ONE_OF, evidence=evidence) for pid in others]


def child(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The children whose end or stop is waited for."""
    name = (wait.call or "wait4").partition("(")[0]
    wanted = [pid for pid in tasks.wanted_children(look, raw, name) if not has_ended(look, pid)]
    relation = HOLDS if len(wanted) == 1 and raw.args else LIKELY if len(wanted) == 1 else ONE_OF
    alive = f"child {wanted[0]} is still alive" if len(wanted) == 1 else f"{len(wanted)} children are still alive"
    evidence = f"{name}: {alive}"
    return [Holder(pid=pid, relation=relation, evidence=evidence) for pid in wanted]


def vfork_child(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The child that still uses the parent's memory: kcmp(2) tells, or there is just one child."""
    data = look.proc.optional(raw.pid, "children", raw.tid) or b""
    own = [int(word) for word in data.split() if not has_ended(look, int(word))]
    same = [pid for pid in own if _same_memory(raw.pid, pid)] if look.proc.root == "/proc" else []
    if len(same) == 1:
        return [Holder(pid=same[0], relation=HOLDS, evidence=f"kcmp: child {same[0]} still uses its parent's memory")]
    if len(own) == 1:
        return [Holder(pid=own[0], relation=HOLDS, evidence=f"vfork: {own[0]} is the only child")]
    return [Holder(pid=pid, relation=ONE_OF, evidence="vfork: one of the children") for pid in same or own]


def _same_memory(one: int, other: int) -> bool:
    number = syscalls.number_of("kcmp", syscalls.native_abi())
    libc = ctypes.CDLL(None, use_errno=True)
    return number is not None and int(libc.syscall(number, one, other, _KCMP_VM, 0, 0)) == 0


def tracer(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The tracer that keeps a task in a tracing stop."""
    pid = procfs.tracer_pid(f"{raw.pid}/task/{raw.tid}", look.proc.root)
    return [Holder(pid=pid, relation=HOLDS, evidence=f"TracerPid {pid}")] if pid else []


def parent(look: ProcSnapshot, raw: RawTask, wait: Wait) -> list[Holder]:
    """The parent that has not waited for a zombie."""
    pid = raw.stat.ppid
    return [Holder(pid=pid, relation=HOLDS, evidence=f"its parent {pid} has not waited for it")] if pid else []
