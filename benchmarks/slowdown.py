"""How much slower a target is under straced than under bare ``strace -c -p``."""

from __future__ import annotations

import asyncio
import subprocess
import time

from tests.support.workload import Starter, Workload

from benchmarks.attach import BareStrace
from benchmarks.result import Result, at_most_times
from straced import StraceManager


def _lap(target: Workload) -> float:
    started = time.perf_counter()
    target.go()
    target.channel.expect("lap", 120)
    return time.perf_counter() - started


async def getppid_loop(start: Starter, rounds: int, calls: int) -> Result:
    """Microseconds a call of a loop that does nothing else."""
    target = start("spin", calls, go=False)
    manager = StraceManager()
    ours, bare = [], []
    await asyncio.to_thread(_lap, target)
    for _ in range(rounds):
        if not await manager.attach(target.pid):
            raise RuntimeError(f"not attached: {manager.last_error(target.pid)}")
        ours.append(await asyncio.to_thread(_lap, target))
        await manager.detach(target.pid)
        other = BareStrace(target.pid)
        await asyncio.to_thread(other.attach)
        bare.append(await asyncio.to_thread(_lap, target))
        await asyncio.to_thread(other.detach)
    await manager.detach_all()
    target.kill()
    scale = 1e6 / calls
    return at_most_times("getppid loop, a call", "us", [t * scale for t in ours], [t * scale for t in bare], 1.05)


async def find(start: Starter, rounds: int, folder: str) -> Result:
    """Seconds that ``find FOLDER`` takes."""
    subprocess.run(["find", folder], stdout=subprocess.DEVNULL, check=False)  # so that the cache is warm for both
    ours, bare = [], []
    manager = StraceManager()
    for _ in range(rounds):
        target = start("exec", "find", folder, stdout=subprocess.DEVNULL)
        if not await manager.attach(target.pid):
            raise RuntimeError(f"not attached: {manager.last_error(target.pid)}")
        ours.append(await asyncio.to_thread(_to_its_end, target))
        await manager.detach(target.pid)
        target = start("exec", "find", folder, stdout=subprocess.DEVNULL)
        other = BareStrace(target.pid)
        await asyncio.to_thread(other.attach)
        bare.append(await asyncio.to_thread(_to_its_end, target))
        await asyncio.to_thread(other.process.wait)
    await manager.detach_all()
    return at_most_times(f"find {folder}", "s", ours, bare, 1.05)


def _to_its_end(target: Workload) -> float:
    started = time.perf_counter()
    target.go()
    target.process.wait(300)
    return time.perf_counter() - started
