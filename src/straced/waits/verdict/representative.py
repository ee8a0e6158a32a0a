"""Which thread stands for a process: the one whose wait says most about why it makes no progress."""

from __future__ import annotations

from straced.linux.procfs import Gone
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node, is_deadlock
from straced.waits.verdict import judge
from straced.waits.verdict.chain import ChainBuilder

MAX_THREADS = 500
"""Threads of one process that are explained; all are counted and watched."""


def choose(builder: ChainBuilder, look: ProcSnapshot, pid: int, thread: int | None = None) -> Node:
    """The chain of the thread that stands for the process.

    That is the thread asked for; else one in a deadlock; else one that is where nobody rests on purpose; else the
    representative one.
    """
    if thread is not None:
        return builder.build(pid, thread)
    usual = builder.build(pid, builder.representative(pid))
    if usual.task.wait.kind == "running" or is_deadlock(usual):
        return usual
    best = usual
    for tid in list(look.tasks(pid))[:MAX_THREADS]:
        if tid == usual.task.tid:
            continue
        try:
            task = builder.describe(look.task(pid, tid))
            if not judge.is_suspect(task):
                continue
            chain = builder.build(pid, tid)
        except Gone:
            continue
        if is_deadlock(chain):
            return chain
        if best is usual and (judge.is_idle(usual) or usual.task.wait.kind == "futex") and chain.holders:
            best = chain
    if best is usual and usual.task.wait.kind == "futex" and len(usual.holders) + usual.more > 1:
        best = _idle_thread(builder, look, pid) or usual
    return best


def _idle_thread(builder: ChainBuilder, look: ProcSnapshot, pid: int) -> Node | None:
    """In a program whose main thread rests on a futex, the thread that waits for work says more."""
    for tid in list(look.tasks(pid))[:MAX_THREADS]:
        try:
            task = builder.describe(look.task(pid, tid))
            if task.wait.kind in ("accept", "poll"):
                return builder.build(pid, tid)
        except Gone:
            continue
    return None
