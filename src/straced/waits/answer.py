"""Put one answer together: look, watch for a moment, look again, follow the chain, judge."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from straced import errors, procfs
from straced.model import Summary
from straced.procfs import Gone
from straced.waits import storms, verdict
from straced.waits.chain import ChainBuilder, settled
from straced.waits.limits import next_step, not_seen
from straced.waits.look import Look
from straced.waits.memory import memory_is_safe
from straced.waits.meter import Io, Meter, Observation
from straced.waits.model import Node, Storm, Why, is_deadlock
from straced.waits.proc import Proc, RawTask

DEFAULT_DURATION_NS = 2 * 10**9
MAX_THREADS = 500
"""Threads of one process that are explained; all are counted and watched."""
_ATTEMPTS = 4
Key = tuple[int, int]
Sharpen = Callable[[int, int], Summary | None]
"""(pid, duration in ns) -> what a tracer counted meanwhile; the door through which eBPF comes in."""


def why_process(
    pid: int,
    duration_ns: int = DEFAULT_DURATION_NS,
    root: str = procfs.ROOT,
    sharpen: Sharpen | None = None,
) -> Why:
    """Explain one process (or, given a thread id, that thread); sleeps for ``duration_ns``, changes nothing.

    Args:
        pid: a process or thread id.
        duration_ns: how long to watch before judging.
        root: where /proc is.
        sharpen: asked for a tracer's summary of the same time; it makes storms and spins exact.

    Raises:
        NoSuchProcess: no such pid now.
        OwnProcess: straced itself.
    """
    if pid == os.getpid() and root == procfs.ROOT:
        raise errors.OwnProcess("that is straced itself, running to answer you", pid=pid, hint="name another pid")
    leader, thread = _resolve(pid, root)
    try:
        start = procfs.stat(leader, root).start_ticks
        return _explain(leader, thread, start, duration_ns, root, sharpen)
    except Gone:
        return Why(pid=leader, start_ticks=0, comm="", uid=None, verdict="gone", window_ns=duration_ns)


def _resolve(pid: int, root: str) -> tuple[int, int | None]:
    """(process, thread asked for or None)."""
    try:
        leader = int(procfs.status(pid, root).get("Tgid", pid)) if pid > 0 else 0
    except (Gone, OSError):
        leader = 0
    if leader <= 0:
        hint = "straced why --all lists who is stuck"
        raise errors.NoSuchProcess(f"there is no process {pid}", pid=pid, hint=hint)
    return leader, pid if leader != pid else None


def _explain(pid: int, thread: int | None, start: int, duration_ns: int, root: str, sharpen: Sharpen | None) -> Why:
    meter = _watch(pid, thread, root)
    counted: list[Storm] = []
    if sharpen is None:
        meter.run(duration_ns)
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as beside:
            future = beside.submit(sharpen, pid, duration_ns)
            meter.run(duration_ns)
        summary = future.result()
        counted = storms.from_summary(summary) if summary is not None else []
    seen = meter.finish()
    for attempt in range(_ATTEMPTS):
        look = Look(Proc(root))
        if look.proc.stat(pid).start_ticks != start:
            raise Gone(str(pid))
        builder = ChainBuilder(look, seen.tasks)
        chain = choose(builder, look, pid, thread)
        if settled(look, chain) or attempt == _ATTEMPTS - 1:
            break
    if not settled(look, chain):
        chain = Node(task=chain.task)  # it moves too fast to say who it waits for
    return assemble(look, builder, chain, seen, counted)


def _watch(pid: int, thread: int | None, root: str) -> Meter:
    """Watch all threads of the process, and everybody who seems to hold it up at this moment."""
    look = Look(Proc(root))
    keys = [(pid, tid) for tid in look.tasks(pid)]
    builder = ChainBuilder(look)
    chain = builder.build(pid, thread if thread is not None else builder.representative(pid))
    others = {(node.task.pid, node.task.tid) for node in walk(chain)} - set(keys)
    return Meter(look.proc, [*keys, *sorted(others)], io_of=pid)


def walk(node: Node) -> list[Node]:
    """All nodes of a chain, from the top."""
    return [node, *(below for holder in node.holders for below in walk(holder))]


def choose(builder: ChainBuilder, look: Look, pid: int, thread: int | None = None) -> Node:
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
            if not verdict.is_suspect(task):
                continue
            chain = builder.build(pid, tid)
        except Gone:
            continue
        if is_deadlock(chain):
            return chain
        if best is usual and (verdict.is_idle(usual) or usual.task.wait.kind == "futex") and chain.holders:
            best = chain
    if best is usual and usual.task.wait.kind == "futex" and len(usual.holders) + usual.more > 1:
        best = _idle_thread(builder, look, pid) or usual
    return best


def _idle_thread(builder: ChainBuilder, look: Look, pid: int) -> Node | None:
    """In a program whose main thread rests on a futex, the thread that waits for work says more."""
    for tid in list(look.tasks(pid))[:MAX_THREADS]:
        try:
            task = builder.describe(look.task(pid, tid))
            if task.wait.kind in ("accept", "poll"):
                return builder.build(pid, tid)
        except Gone:
            continue
    return None


def assemble(
    look: Look,
    builder: ChainBuilder,
    chain: Node,
    seen: Observation,
    counted: Sequence[Storm] = (),
) -> Why:
    """Judge, and add what people want to see beside the verdict."""
    pid = chain.task.pid
    tids = list(look.tasks(pid))
    raws = (_task_or_none(look, pid, tid) for tid in tids[:MAX_THREADS])
    threads = [builder.describe(raw) for raw in raws if raw is not None]
    cpu_pct = verdict.total_cpu_pct(seen.tasks, [(pid, tid) for tid in tids])
    found: list[Storm] = [*counted, *storms.from_io(seen.io)]
    own = seen.tasks.get((pid, chain.task.tid))
    if own is not None:
        found += storms.from_samples(own, look.proc.is_native(pid))
    word, reason = verdict.judge(chain, cpu_pct, found, seen.tasks)
    return Why(
        pid=pid,
        start_ticks=look.proc.stat(pid).start_ticks,
        comm=look.proc.stat(pid).comm,
        uid=look.proc.uid(pid),
        verdict=word,
        reason=reason,
        chain=chain,
        threads=tuple(threads),
        storms=tuple(found),
        evidence=(*_tracer(look, chain), *_evidence(chain, seen.io)),
        not_seen=not_seen(look, chain, len(tids) - MAX_THREADS),
        next=next_step(look, chain, word),
        window_ns=seen.window_ns,
        cpu_pct=cpu_pct,
        kernel_share=seen.kernel_share,
        cmdline=_cmdline(look, pid),
    )


def _task_or_none(look: Look, pid: int, tid: int) -> RawTask | None:
    try:
        return look.task(pid, tid)
    except Gone:
        return None


def _tracer(look: Look, chain: Node) -> tuple[str, ...]:
    """A tracer is worth a line even when it does not hold the task at this moment: it slows it."""
    task = chain.task
    tracer = procfs.tracer_pid(f"{task.pid}/task/{task.tid}", look.proc.root)
    if not tracer or task.wait.kind == "traced":
        return ()
    try:
        return (f"{task.tid} is traced by {tracer} ({look.proc.stat(tracer).comm})",)
    except (Gone, OSError):
        return (f"{task.tid} is traced by {tracer}",)


def _cmdline(look: Look, pid: int) -> tuple[str, ...]:
    """The command line, which lies in the target's memory: left out when that is not safe to read."""
    try:
        return procfs.cmdline(pid, look.proc.root) if memory_is_safe(look.proc, pid) else ()
    except (Gone, OSError):
        return ()


def _evidence(chain: Node, io: Io) -> tuple[str, ...]:
    lines: Sequence[str] = [node.evidence for node in walk(chain) if node.evidence]
    lines = [*lines, *(node.task.wait.detail for node in walk(chain) if node.task.wait.detail), storms.moved(io)]
    return tuple(dict.fromkeys(line for line in lines if line))
