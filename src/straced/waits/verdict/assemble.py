"""Judge what was seen, and add what people want to see beside the verdict."""

from __future__ import annotations

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.model.types import Summary
from straced.text.tracer_names import tracer_name
from straced.text.units import count_of, format_count, format_ns
from straced.waits.facts.activity import Observation
from straced.waits.facts.memory import memory_is_safe
from straced.waits.facts.proc import RawTask
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.limits.found import ReachedLimits
from straced.waits.limits.window import HostWindow
from straced.waits.model import Node, Request, Why, walk
from straced.waits.verdict import judge, slow, storms
from straced.waits.verdict.chain import ChainBuilder
from straced.waits.verdict.next_steps import next_step, not_seen
from straced.waits.verdict.representative import MAX_THREADS

_MAX_COMMANDS = 8
_MAX_FRAMES = 6


def assemble(
    look: ProcSnapshot,
    builder: ChainBuilder,
    chain: Node,
    seen: Observation,
    host: HostWindow,
    counted: Summary | None = None,
    alone: bool = False,
) -> Why:
    """Put the answer together.

    Args:
        look: the moment the chain is of.
        builder: what built it.
        chain: of the thread that stands for the process.
        seen: the window before that moment.
        host: the counters of cgroups and of the machine over that window.
        counted: what a tracer counted in that window.
        alone: the thread itself is asked about: what others of its process do is no answer.
    """
    pid = chain.task.pid
    tids = list(look.tasks(pid))
    raws = (_task_or_none(look, pid, tid) for tid in tids[:MAX_THREADS])
    threads = [builder.describe(raw) for raw in raws if raw is not None]
    meant = [chain.task.tid] if alone else tids
    cpu_pct = judge.total_cpu_pct(seen.tasks, [(pid, tid) for tid in meant])
    own = seen.tasks.get((pid, chain.task.tid))
    found = storms.find(seen.io, own, look.proc.is_native(pid), counted)
    limits = ReachedLimits(host, look, chain, seen)
    word, reason = judge.judge(chain, cpu_pct, found, seen.tasks, limits.starved_by)
    in_passing = word == "idle" and chain.task.wait.kind == "running"
    if word == "slow" or in_passing or (word == "busy" and counted is not None):
        reason = reason or slow.busiest(look, pid, own, counted, len(tids))
    return Why(
        pid=pid,
        start_ticks=look.proc.stat(pid).start_ticks,
        comm=look.proc.stat(pid).comm,
        uid=look.proc.uid(pid),
        parent=look.proc.stat(pid).ppid,
        verdict=word,
        reason=reason,
        chain=chain,
        threads=tuple(threads),
        storms=tuple(found),
        evidence=_all_evidence(look, chain, seen, counted),
        not_seen=not_seen(look, chain, len(tids) - MAX_THREADS),
        next=next_step(look, chain, word, counted is not None),
        window_ns=seen.window_ns,
        limits=limits.found(word),
        cpu_pct=cpu_pct,
        kernel_share=seen.kernel_share,
        commands=_commands(look, chain),
    )


def _task_or_none(look: ProcSnapshot, pid: int, tid: int) -> RawTask | None:
    try:
        return look.task(pid, tid)
    except Gone:
        return None


def _tracer(look: ProcSnapshot, chain: Node) -> tuple[str, ...]:
    """A tracer is worth a line even when it does not hold the task at this moment: it slows it.

    The chain has it only where the task was in a tracing stop, and in the same one, at each look at it.
    """
    task = chain.task
    tracer = procfs.tracer_pid(f"{task.pid}/task/{task.tid}", look.proc.root)
    if not tracer or any(holder.task.pid == tracer for holder in chain.holders):
        return ()
    try:
        return (f"{task.tid} is traced by {tracer} ({look.proc.stat(tracer).comm})",)
    except (Gone, OSError):
        return (f"{task.tid} is traced by {tracer}",)


def _commands(look: ProcSnapshot, chain: Node) -> dict[int, tuple[str, ...]]:
    """The command lines. They lie in the memory of their processes: left out where that is not safe to read."""
    found = {}
    for pid in list(dict.fromkeys(node.task.pid for node in walk(chain)))[:_MAX_COMMANDS]:
        try:
            words = procfs.cmdline(pid, look.proc.root) if memory_is_safe(look.proc, pid) else ()
        except (Gone, OSError):
            continue
        if words:
            found[pid] = words
    return found


def _all_evidence(look: ProcSnapshot, chain: Node, seen: Observation, counted: Summary | None) -> tuple[str, ...]:
    nodes = walk(chain)
    lines: list[str] = [*_tracer(look, chain), *(node.evidence for node in nodes if node.evidence)]
    lines += [node.task.wait.detail for node in nodes if node.task.wait.detail]
    lines += [text for node in nodes if (text := _request(node.task.wait.request))]
    if chain.holders and chain.task.switches:
        lines.append(f"{chain.task.tid} ran {count_of(chain.task.switches, 'time')} in {format_ns(seen.window_ns)}")
    lines += [_kernel_stack(look, node) for node in nodes if node.task.wait.state == "D"]
    lines += [storms.moved(seen.io), _counts(counted)]
    return tuple(dict.fromkeys(line for line in lines if line))


def _request(request: Request | None) -> str:
    """What TCP knows of a request: the sentence tells the rest."""
    if request is None or request.sent_ns is None:
        return ""
    taken = "acknowledged" if request.taken else "not acknowledged"
    sent = f"data last sent {format_ns(request.sent_ns)} ago, {taken}"
    return f"tcp_info of {request.local} -> {request.peer}: {sent}, and nothing came back since"


def _kernel_stack(look: ProcSnapshot, node: Node) -> str:
    """What a task in uninterruptible sleep waits in: the only thing that tells one such wait from another."""
    found = look.proc.stack(node.task.pid, node.task.tid)[:_MAX_FRAMES]
    return f"{node.task.tid} is in state D, in {' < '.join(found)}" if found else ""


def _counts(counted: Summary | None) -> str:
    """What was counted, by what, and what that cost the target."""
    if counted is None or not counted.rows:
        return ""
    rows = sorted(counted.rows, key=lambda row: -(row.calls or 0))
    total = sum(row.calls or 0 for row in rows)
    names = ", ".join(f"{row.name} {format_count(row.calls)}" for row in rows[:3])
    pct = counted.quality.overhead.pct if counted.quality.overhead else None
    cost = f"; the target about {pct:.1f} % slower meanwhile" if pct is not None and pct >= 0.05 else ""
    window = format_ns(counted.window.duration_ns)
    return f"{tracer_name(counted.tracer)}: {count_of(total, 'call')} in {window} ({names}){cost}"
