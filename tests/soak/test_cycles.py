"""1,000 attach and detach cycles, 200 cancels within 8 ms: nothing grows, nothing is left."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time

import pytest

from straced import StraceManager
from tests.soak.conftest import Figures, harmed, survivors, times
from tests.support import proc
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(1200)]


def resident_kb() -> int:
    """Resident memory of this process and of its guard."""
    return sum(int(proc.status(pid, "VmRSS").split()[0]) for pid in [os.getpid(), *guards()])


def guards() -> list[int]:
    """The guard of this process, by descent."""
    return [pid for pid in proc.children(os.getpid()) if "guard" in " ".join(proc.cmdline(pid))]


def straces() -> list[int]:
    """All helpers but the one that measures, once, what a call costs: it ends by itself."""
    return [pid for guard in guards() for pid in proc.descendants(guard) if proc.comm(pid) == "strace"]


async def test_attach_and_detach(manager: StraceManager, start: Starter, figures: Figures) -> None:
    target = start("spin")
    count = times(1000)
    untraced_rate = target.rate(1.0)
    for _ in range(20):
        assert await manager.attach(target.pid)
        assert await manager.detach(target.pid) is not None
    fds, memory = len(proc.fds()), resident_kb()
    attaches, detaches, lost = [], [], 0
    with figures.row("attach, detach", count) as found:
        for _ in range(count):
            started = time.perf_counter()
            assert await manager.attach(target.pid), manager.last_error(target.pid)
            attached = time.perf_counter()
            lost += await manager.detach(target.pid) is None
            attaches.append(attached - started)
            detaches.append(time.perf_counter() - attached)
            assert target.untraced()
        await auntil(lambda: manager.get_strace_pids() == [])
        grown_fds, grown_kb = len(proc.fds()) - fds, resident_kb() - memory
        rate = target.rate(1.0)
        found.update({
            "lost summaries": lost, "fds grown": grown_fds, "memory grown": f"{grown_kb} kB",
            "attach median": f"{statistics.median(attaches) * 1000:.1f} ms",
            "detach median": f"{statistics.median(detaches) * 1000:.1f} ms",
            "rate of the target after/before": f"{rate / untraced_rate:.2f}",
        })  # fmt: skip
    assert lost == 0
    assert grown_fds <= 0
    assert grown_kb < 2048 + 2 * count
    assert target.runs()


async def test_cancels_within_8_ms(manager: StraceManager, start: Starter, figures: Figures) -> None:
    target = start("tick")
    count = times(200)
    chance = random.Random(8)
    cancelled, orphans, hurt, worst = 0, 0, 0, 0.0
    with figures.row("cancel within 8 ms", count) as found:
        for _ in range(count):
            task = asyncio.ensure_future(manager.attach(target.pid))
            try:
                await asyncio.wait_for(task, chance.uniform(0, 0.008))
            except TimeoutError:
                cancelled += 1
            started = time.monotonic()
            await manager.detach(target.pid)
            orphans += await asyncio.to_thread(survivors, straces())
            hurt += await asyncio.to_thread(harmed, [target])
            worst = max(worst, time.monotonic() - started)
        found.update({
            "in the middle": cancelled, "orphans": orphans, "targets harmed": hurt, "slowest let-go": f"{worst:.2f} s",
        })  # fmt: skip
    assert (orphans, hurt) == (0, 0)
