"""Which thread stands for a process: the one whose wait says most about why it makes no progress."""

from __future__ import annotations

from collections.abc import Callable

from straced.linux.procfs import Gone
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node, WaitingTask, is_deadlock
from straced.waits.verdict import judge
from straced.waits.verdict.chain import ChainBuilder, settled

_OF_THREADS = frozenset({"mutex", "lock"})
"""Waits in which threads of one process catch each other."""
MAX_THREADS = 500
"""Threads of one process that are explained; all are counted and watched."""


def choose(builder: ChainBuilder, look: ProcSnapshot, pid: int, thread: int | None = None) -> Node:
    """The chain of the thread that stands for the process.

    That is the thread asked for; else one in a deadlock, whatever others do and however lately it got there; else one
    that runs; else one that is where nobody rests on purpose; else the representative one.
    """
    if thread is not None:
        return builder.build(pid, thread)
    usual = builder.build(pid, builder.representative(pid))
    runs = usual.task.wait.kind == "running"
    if is_deadlock(usual):
        return usual
    best = usual
    for tid in list(look.tasks(pid))[:MAX_THREADS]:
        if tid == usual.task.tid:
            continue
        try:
            task = builder.describe(look.task(pid, tid))
            suspect = judge.is_suspect(task) and not runs
            if not suspect and task.wait.kind not in _OF_THREADS:
                continue
            chain = builder.build(pid, tid)
        except Gone:
            continue
        if is_deadlock(chain) and (suspect or settled(look, chain)):
            return chain
        if not suspect:
            continue
        if best is usual and (judge.is_idle(usual) or usual.task.wait.kind == "futex") and chain.holders:
            best = chain
    if best is usual and not runs and _rests_on_some_futex(usual):
        best = _thread(builder, look, pid, _has_asked) or _thread(builder, look, pid, _waits_for_work) or usual
    return best


def _rests_on_some_futex(chain: Node) -> bool:
    """Whether a thread waits for one of its own process, nobody can tell which; so may the one that it joins."""
    task = chain.task
    if task.wait.kind == "join" and len(chain.holders) == 1 and chain.holders[0].task.pid == task.pid:
        return _rests_on_some_futex(chain.holders[0])
    return task.wait.kind == "futex" and (len(chain.holders) + chain.more > 1 or bool(task.wait.runtime))


def _has_asked(task: WaitingTask) -> bool:
    return task.wait.request is not None and not task.switches


def _waits_for_work(task: WaitingTask) -> bool:
    return task.wait.kind in ("accept", "poll")


def _thread(
    builder: ChainBuilder, look: ProcSnapshot, pid: int, says_more: Callable[[WaitingTask], bool]
) -> Node | None:
    """In a program whose main thread rests on a futex, the first thread that says more than that."""
    for tid in list(look.tasks(pid))[:MAX_THREADS]:
        try:
            if says_more(builder.describe(look.task(pid, tid))):
                return builder.build(pid, tid)
        except Gone:
            continue
    return None
