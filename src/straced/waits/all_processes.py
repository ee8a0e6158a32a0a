"""``why --all``: every process in one look, ranked by how stuck it is and how many wait for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.waits.facts.activity import Meter
from straced.waits.facts.proc import ProcReader
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.limits.window import HostWindow
from straced.waits.model import ONE_OF, Node, Why, WhyAll, walk
from straced.waits.pausing import go_on
from straced.waits.verdict.assemble import assemble
from straced.waits.verdict.chain import ChainBuilder, settled_part
from straced.waits.verdict.judge import is_grave
from straced.waits.verdict.next_steps import HIDEPID
from straced.waits.verdict.representative import choose

_RANK = {"stuck": 2, "spinning": 5, "stopped": 5, "slow": 7, "busy": 8, "unknown": 9, "ended": 10, "idle": 11}
_DEADLOCK, _CULPRIT, _PROVEN, _INFERRED, _ONE_OF, _MILD, _LAST = 0, 1, 2, 3, 4, 6, 11


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
    first = ProcSnapshot(ProcReader(root))
    wanted = [pid for pid in (procfs.pids(root) if pids is None else pids) if not _is_ours(pid, root)]
    starts: dict[int, int] = {}
    keys: list[tuple[int, int]] = []
    for pid in wanted:
        go_on()
        try:
            facts = first.proc.stat(pid)
            if not facts.is_kernel_thread or facts.state == "D":
                starts[pid] = facts.start_ticks
                keys += [(pid, tid) for tid in first.tasks(pid)]
        except (Gone, OSError):
            continue
    host = HostWindow(first.proc, starts)
    meter = Meter(first.proc, keys)
    meter.run(duration_ns, sweeps=4, cpu_budget_ns=200_000_000)
    seen = meter.finish()
    host.close()
    look = ProcSnapshot(ProcReader(root))
    builder = ChainBuilder(look, seen.tasks)
    answers = []
    for pid, start in starts.items():
        go_on()
        try:
            if look.proc.stat(pid).start_ticks != start:
                continue
            chain = choose(builder, look, pid)
            chain = settled_part(look, chain) or Node(task=chain.task)
            answers.append(assemble(look, builder, chain, seen, host))
        except (Gone, OSError):
            continue
    if keep is not None:
        answers = [answer for answer in answers if keep(answer)]
    waited_for = count_waiters(answers)
    answers.sort(key=lambda why: rank(why, waited_for.get(why.pid, 0)))
    return WhyAll(
        processes=tuple(answers),
        waited_for=waited_for,
        not_seen=tuple(_not_seen(look, starts)),
        window_ns=seen.window_ns,
    )


def _not_seen(look: ProcSnapshot, pids: Iterable[int]) -> Iterator[str]:
    """How many could not be looked into: then those who hold others up may be among them."""
    more = "refused even to root" if os.geteuid() == 0 else "sudo shows them"
    calls = sum("syscall" in look.proc.refused.get(pid, ()) for pid in pids)
    if calls:
        yield f"the calls of {calls} process{'' if calls == 1 else 'es'} ({more})"
    if look.proc.hides_strangers:
        yield HIDEPID
    if look.owners.hidden:
        hidden = len(look.owners.hidden)
        yield f"the descriptors of {hidden} process{'' if hidden == 1 else 'es'} ({more})"


def rank(why: Why, waiting: int) -> tuple[int, int, int, int]:
    """The place of an answer in the list, by what is proven.

    Deadlocks, those who hold others up and are held up by none, the stuck whose root cause is proven, those for whom it
    is inferred, those for whom it is one of several; then the stuck whose root cause only sleeps. Shells behind the
    program they have started, and who is idle, come last. Within each, the number of those who wait, then the age of
    the wait.

    Args:
        why: the answer.
        waiting: how many processes wait for it.
    """
    degree = _RANK.get(why.verdict, _LAST)
    chain = why.chain
    if why.deadlock:
        degree = _DEADLOCK
    elif chain is not None and waiting and not chain.holders and why.verdict in ("stopped", "spinning", "stuck"):
        degree = _CULPRIT if why.verdict != "stuck" or is_grave(chain) else _MILD
    elif chain is not None and why.verdict == "stuck":
        degree = _degree_of_stuck(why, chain)
    since = chain.task.wait.since_ns if chain is not None else None
    return degree, -waiting, -(since or 0), why.pid


def _degree_of_stuck(why: Why, chain: Node) -> int:
    if is_behind_a_child(why):
        return _LAST
    if not is_grave(chain):
        return _MILD
    ends = {leaf.end for leaf in why.roots}
    return _PROVEN if ends <= {"root cause", ""} else _INFERRED if ends <= {"root cause", "likely", ""} else _ONE_OF


def is_behind_a_child(why: Why) -> bool:
    """Whether it only waits for children that sleep, as a shell does behind the program it has started."""
    above = [node for node in walk(why.chain) if node.holders] if why.chain else []
    return (
        why.verdict == "stuck"
        and bool(above)
        and all(node.task.wait.kind == "child" for node in above)
        and all(leaf.task.wait.kind == "sleep" for leaf in why.roots)
    )


def _is_ours(pid: int, root: str) -> bool:
    return pid == os.getpid() and root == procfs.ROOT


def count_waiters(answers: Iterable[Why]) -> dict[int, int]:
    """How many processes wait for each, directly or through others; one of several is not known to be waited for."""
    waiters: dict[int, set[int]] = {}
    for answer in answers:
        for node in _waited_for(answer.chain) if answer.chain is not None else ():
            if node.task.pid != answer.pid:
                waiters.setdefault(node.task.pid, set()).add(answer.pid)
    return {pid: len(found) for pid, found in waiters.items()}


def _waited_for(node: Node) -> list[Node]:
    sure = [holder for holder in node.holders if holder.relation != ONE_OF or node.task.wait.kind == "child"]
    return [*sure, *(below for holder in sure for below in _waited_for(holder))]
