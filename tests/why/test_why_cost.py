"""What the question costs, and that the target does not feel it."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path

from why_stages import STAGES
from why_world import World

from straced import procfs
from straced.waits.answer import why_process
from straced.waits.everybody import why_everybody

_LIMIT_100_THREADS_S = 0.3


def _counters(pid: int) -> dict[int, bytes]:
    return {tid: procfs.read(f"{pid}/task/{tid}/schedstat") for tid in procfs.tasks(pid)}


def test_a_hundred_threads(world: World) -> None:
    """CPU time of the whole command, interpreter included; and not one thread of the target ran because of it."""
    target = world.program("threads", 100)
    world.rests(*procfs.tasks(target.pid))
    before = _counters(target.pid)
    spent = []
    for _ in range(3):
        first = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "straced.commands.why", str(target.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        last = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(last.ru_utime + last.ru_stime - first.ru_utime - first.ru_stime)
    assert min(spent) <= _LIMIT_100_THREADS_S, spent
    assert _counters(target.pid) == before


def test_the_target_is_never_stopped_or_traced(world: World) -> None:
    target = STAGES["busy"](world).target
    seen: set[tuple[str, int]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add((procfs.stat(target).state, procfs.tracer_pid(target)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert why_process(target, 300_000_000).verdict == "busy"
    finally:
        done.set()
        watcher.join(10)
    assert seen == {("R", 0)}


def test_a_crowd(world: World) -> None:
    """Chains of four in a crowd; the wait of each is found in one look."""
    crowd = world.program("crowd", 100)
    children = [int(word) for word in Path(f"/proc/{crowd.pid}/task/{crowd.pid}/children").read_text().split()]
    world.rests(*children)
    found = {answer.pid: answer for answer in why_everybody(50_000_000).processes}
    stuck = [pid for pid in children if found[pid].verdict == "stuck"]
    assert len(stuck) == 75
    sleepers = [pid for pid in children if found[pid].verdict == "idle"]
    assert {root.task.pid for pid in stuck for root in found[pid].roots} <= set(sleepers)
