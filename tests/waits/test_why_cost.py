"""What the question costs, and that the target does not feel it."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path

from why_stages import STAGES
from why_world import World

from straced.linux import procfs
from straced.waits.all_processes import why_everybody
from straced.waits.process import why_process

_FAR_TOO_MUCH_S = 2.0
"""benchmarks/why.py measures; a test on a machine that others use, too, can only see that something went very wrong."""


def _counters(pid: int) -> dict[int, bytes]:
    return {tid: procfs.read(f"{pid}/task/{tid}/schedstat") for tid in procfs.tasks(pid)}


def test_a_hundred_threads(world: World) -> None:
    """Not one thread of the target runs because it is asked about."""
    target = world.program("threads", 100)
    world.rests(*procfs.tasks(target.pid))
    before = _counters(target.pid)
    first = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "straced.commands.why", str(target.pid), "-d", "0.5"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    last = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "91 more" in done.stdout, done.stdout
    assert last.ru_utime + last.ru_stime - first.ru_utime - first.ru_stime <= _FAR_TOO_MUCH_S
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
