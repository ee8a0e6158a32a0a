"""How much slower a target is under straced than under bare ``strace -c -p``."""

from __future__ import annotations

import asyncio
import select
import subprocess
import time
from collections.abc import Awaitable, Callable

from tests.support.workload import Starter, Workload

from benchmarks.attach import BareStrace
from benchmarks.result import Result, at_most_times
from straced import StraceManager


async def getppid_loop(start: Starter, rounds: int, calls: int) -> Result:
    """Microseconds a call of a loop that does nothing else."""
    target = start("spin", calls, go=False)
    manager = await warmed_up(target)
    await asyncio.to_thread(_lap, target)

    async def ours() -> float:
        await attached(manager, target)
        spent = await asyncio.to_thread(_lap, target)
        await manager.detach(target.pid)
        return spent * 1e6 / calls

    async def bare() -> float:
        other = BareStrace(target.pid)
        await asyncio.to_thread(other.attach)
        spent = await asyncio.to_thread(_lap, target)
        await asyncio.to_thread(other.detach)
        return spent * 1e6 / calls

    mine, theirs = await by_turns(ours, bare, rounds)
    await manager.detach_all()
    target.kill()
    return at_most_times("getppid loop, a call", "us", mine, theirs, 1.05)


async def find(start: Starter, rounds: int, folder: str) -> Result:
    """Seconds that ``find FOLDER`` takes."""
    warm = await asyncio.create_subprocess_exec("find", folder, stdout=subprocess.DEVNULL)  # the cache, for both
    await warm.wait()
    manager = await warmed_up(start("pause"))

    async def ours() -> float:
        target = start("exec", "find", folder, stdout=subprocess.DEVNULL)
        await attached(manager, target)
        spent = await asyncio.to_thread(_to_its_end, target)
        await manager.detach(target.pid)
        return spent

    async def bare() -> float:
        target = start("exec", "find", folder, stdout=subprocess.DEVNULL)
        other = BareStrace(target.pid)
        await asyncio.to_thread(other.attach)
        spent = await asyncio.to_thread(_to_its_end, target)
        await asyncio.to_thread(other.process.wait)
        return spent

    mine, theirs = await by_turns(ours, bare, rounds)
    await manager.detach_all()
    return at_most_times(f"find {folder}", "s", mine, theirs, 1.05)


Measure = Callable[[], Awaitable[float]]


async def by_turns(ours: Measure, bare: Measure, rounds: int) -> tuple[list[float], list[float]]:
    """Measure both in each round; who begins changes, so that neither profits from what the other left."""
    mine, theirs = [], []
    for step in range(rounds):
        for measure, results in ((ours, mine), (bare, theirs)) if step % 2 else ((bare, theirs), (ours, mine)):
            results.append(await measure())
    return mine, theirs


async def warmed_up(target: Workload) -> StraceManager:
    """A manager whose guard runs and knows already what a call costs."""
    manager = StraceManager()
    await attached(manager, target)
    await manager.detach(target.pid)
    return manager


async def attached(manager: StraceManager, target: Workload) -> None:
    """Attach, or say why not."""
    if not await manager.attach(target.pid):
        raise RuntimeError(f"not attached: {manager.last_error(target.pid)}")


def _lap(target: Workload) -> float:
    started = time.perf_counter()
    target.go()
    target.channel.expect("lap", 120)
    return time.perf_counter() - started


def _to_its_end(target: Workload) -> float:
    """Until the pidfd is readable: no polling, which would round the time."""
    started = time.perf_counter()
    target.go()
    if not select.select([target.pidfd], [], [], 600)[0]:
        raise TimeoutError("find did not end")
    spent = time.perf_counter() - started
    target.process.wait()
    return spent
