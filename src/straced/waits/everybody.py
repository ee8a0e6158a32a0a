"""``why --all``: every process in one look, ranked by how stuck it is and how many wait for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from straced import procfs
from straced.procfs import Gone
from straced.waits.answer import assemble, choose, walk
from straced.waits.chain import ChainBuilder, settled
from straced.waits.look import Look
from straced.waits.meter import Meter
from straced.waits.model import Node, Why, WhyAll
from straced.waits.proc import Proc

_RANK = {"stuck": 0, "spinning": 1, "stopped": 2, "slow": 3, "busy": 4, "unknown": 5, "ended": 6, "idle": 7, "gone": 8}


def why_everybody(
    duration_ns: int,
    pids: Iterable[int] | None = None,
    root: str = procfs.ROOT,
    keep: Callable[[Why], bool] | None = None,
) -> WhyAll:
    """Explain many processes at once; sleeps for ``duration_ns``, changes nothing.

    Args:
        duration_ns: how long to watch before judging.
        pids: which processes; all by default. straced itself and kernel threads that rest are left out.
        root: where /proc is.
        keep: asked of each answer.
    """
    first = Look(Proc(root))
    wanted = [pid for pid in (procfs.pids(root) if pids is None else pids) if not _is_ours(pid, root)]
    starts: dict[int, int] = {}
    keys: list[tuple[int, int]] = []
    for pid in wanted:
        try:
            facts = first.proc.stat(pid)
            if not facts.is_kernel_thread or facts.state == "D":
                starts[pid] = facts.start_ticks
                keys += [(pid, tid) for tid in first.tasks(pid)]
        except (Gone, OSError):
            continue
    meter = Meter(first.proc, keys)
    meter.run(duration_ns, sweeps=4, cpu_budget_ns=200_000_000)
    seen = meter.finish()
    look = Look(Proc(root))
    builder = ChainBuilder(look, seen.tasks)
    answers = []
    for pid, start in starts.items():
        try:
            if look.proc.stat(pid).start_ticks != start:
                continue
            chain = choose(builder, look, pid)
            if not settled(look, chain):
                chain = Node(task=chain.task)
            answers.append(assemble(look, builder, chain, seen))
        except (Gone, OSError):
            continue
    if keep is not None:
        answers = [answer for answer in answers if keep(answer)]
    waited_for = count_waiters(answers)
    answers.sort(key=lambda why: (_RANK.get(why.verdict, 9), -waited_for.get(why.pid, 0), why.pid))
    hidden = len(look.owners.hidden)
    not_seen = (f"the descriptors of {hidden} processes (sudo shows them)",) if hidden else ()
    return WhyAll(processes=tuple(answers), waited_for=waited_for, not_seen=not_seen, window_ns=seen.window_ns)


def _is_ours(pid: int, root: str) -> bool:
    return pid == os.getpid() and root == procfs.ROOT


def count_waiters(answers: Iterable[Why]) -> dict[int, int]:
    """How many processes wait for each, directly or through others."""
    waiters: dict[int, set[int]] = {}
    for answer in answers:
        if answer.chain is None:
            continue
        for node in walk(answer.chain):
            if node.task.pid != answer.pid:
                waiters.setdefault(node.task.pid, set()).add(answer.pid)
    return {pid: len(found) for pid, found in waiters.items()}
