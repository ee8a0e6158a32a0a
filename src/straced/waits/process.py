"""Put one answer together: look, watch for a moment, look again, follow the chain, judge."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import msgspec

from straced import errors
from straced.linux import pidfds, procfs
from straced.linux.procfs import Gone
from straced.model.types import Summary
from straced.waits.call_counts import FIRST_LOOK_SHARE, Sharpen, is_worth_it
from straced.waits.facts.activity import Meter
from straced.waits.facts.proc import ProcReader
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.limits import oom
from straced.waits.limits.window import HostWindow
from straced.waits.model import Node, Why, walk
from straced.waits.verdict.assemble import assemble
from straced.waits.verdict.chain import ChainBuilder, settled, settled_part
from straced.waits.verdict.representative import choose
from straced.waits.wakers import Wakers, marked, watched

DEFAULT_DURATION_NS = 2 * 10**9
_ATTEMPTS = 4


def why_process(
    pid: int,
    duration_ns: int = DEFAULT_DURATION_NS,
    root: str = procfs.ROOT,
    sharpen: Sharpen | None = None,
    eager: bool = False,
    wakes: bool = False,
) -> Why:
    """Explain one process (or, given a thread id, that thread); sleeps for ``duration_ns``, changes nothing.

    Args:
        pid: a process or thread id.
        duration_ns: how long to watch before judging.
        root: where /proc is.
        sharpen: asked for a tracer's counts of the rest of that time, if the process turns out to be at work; they
            make storms, spins and the call that takes the time exact.
        eager: ask it from the start, whatever the process does.
        wakes: see by eBPF who wakes whom in that time.

    Raises:
        NoSuchProcess: no such pid now.
        NotPermitted: /proc hides it.
        OwnProcess: straced itself.
    """
    if pid == os.getpid() and root == procfs.ROOT:
        raise errors.OwnProcess("that is straced itself, running to answer you", pid=pid, hint="name another pid")
    started_ns = time.monotonic_ns()
    leader, thread = _resolve(pid, root)
    try:
        with _held(leader, root) as same:
            return _explain(leader, thread, same, duration_ns, root, sharpen, eager, wakes)
    except Gone:
        killed = oom.words_of(leader, started_ns) if root == procfs.ROOT else ""
        return Why(pid=leader, start_ticks=0, comm="", uid=None, verdict="gone", reason=killed, window_ns=duration_ns)


def _resolve(pid: int, root: str) -> tuple[int, int | None]:
    """(process, thread asked for or None)."""
    try:
        leader = int(procfs.status(pid, root).get("Tgid", pid)) if pid > 0 else 0
    except (Gone, OSError):
        leader = 0
    if leader <= 0 and root == procfs.ROOT and _is_hidden(pid):
        raise errors.NotPermitted(
            f"/proc hides process {pid} from you (hidepid)", hint=f"sudo straced why {pid}", pid=pid
        )
    if leader <= 0:
        hint = "straced why --all lists who is stuck"
        killed = oom.words_of_nobody(pid) if root == procfs.ROOT else ""
        raise errors.NoSuchProcess(f"there is no process {pid}{killed and f'; {killed}'}", pid=pid, hint=hint)
    return leader, pid if leader != pid else None


def _is_hidden(pid: int) -> bool:
    """Whether there is a process that /proc does not show: kill(2) without a signal only asks."""
    try:
        if pid > 0:
            os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


@contextlib.contextmanager
def _held(pid: int, root: str) -> Iterator[Callable[[], bool]]:
    """Whether a pid still is of the process that has it now, its zombie included.

    By pidfd. The start time alone would not tell: it has a resolution of a tick, in which a process may end and another
    one get its pid. It decides where there is no pidfd: under another root, or without a free descriptor.
    """
    pidfd = None
    if root == procfs.ROOT:
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(pid)
    try:
        start = procfs.stat(pid, root).start_ticks
        yield lambda: procfs.stat(pid, root).start_ticks == start and (pidfd is None or not pidfds.is_reaped(pidfd))
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _explain(
    pid: int,
    thread: int | None,
    same: Callable[[], bool],
    duration_ns: int,
    root: str,
    sharpen: Sharpen | None,
    eager: bool,
    wakes: bool,
) -> Why:
    meter, host = _watch(pid, thread, root)
    with watched(tid for _, tid in meter.keys) if wakes else contextlib.nullcontext(Wakers()) as wakers:
        counted = _run(meter, pid, duration_ns, sharpen, eager)
    seen = meter.finish()
    host.close()
    for attempt in range(_ATTEMPTS):
        look = ProcSnapshot(ProcReader(root))
        builder = ChainBuilder(look, seen.tasks)
        chain = choose(builder, look, pid, thread)
        if settled(look, chain) or attempt == _ATTEMPTS - 1:
            break
    chain = settled_part(look, chain) or Node(task=chain.task)  # what moves too fast to say who it waits for is its end
    why = assemble(look, builder, marked(look, chain, wakers), seen, host, counted, alone=thread is not None)
    if not same():
        raise Gone(str(pid))
    refused = (f"who wakes whom ({wakers.refused})",) if wakers.refused else ()
    return msgspec.structs.replace(why, not_seen=(*why.not_seen, *refused))


def _run(meter: Meter, pid: int, duration_ns: int, sharpen: Sharpen | None, eager: bool) -> Summary | None:
    """Watch for ``duration_ns``; a process that turns out to be at work is counted for the rest of that time."""
    if sharpen is None:
        meter.run(duration_ns)
        return None
    first_ns = 0 if eager else int(duration_ns * FIRST_LOOK_SHARE)
    if not eager:
        meter.run(first_ns, sweeps=8)
        own = [activity for key, activity in meter.finish().tasks.items() if key[0] == pid]
        if not is_worth_it(own, first_ns):
            meter.run(duration_ns)
            return None
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as beside:
        future = beside.submit(copy_context().run, sharpen, pid, duration_ns - first_ns)
        meter.run(duration_ns)
    return future.result()


def _watch(pid: int, thread: int | None, root: str) -> tuple[Meter, HostWindow]:
    """Watch all threads of the process, everybody who seems to hold it up at this moment, and their limits."""
    look = ProcSnapshot(ProcReader(root))
    keys = [(pid, tid) for tid in look.tasks(pid)]
    builder = ChainBuilder(look)
    chain = builder.build(pid, thread if thread is not None else builder.representative(pid))
    others = {(node.task.pid, node.task.tid) for node in walk(chain)} - set(keys)
    host = HostWindow(look.proc, {pid, *(each for each, _ in others)})
    return Meter(look.proc, [*keys, *sorted(others)], io_of=pid), host
