"""200 stops in a storm of vforks; 200,000 forks under a full trace."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from straced import StraceManager
from tests.soak.conftest import Figures, harmed, times
from tests.support.poll import auntil
from tests.support.workload import Starter, Workload

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(1800)]


async def test_stops_in_a_vfork_storm(manager: StraceManager, start: Starter, figures: Figures) -> None:
    target = start("storm")
    count = times(200)
    lost, hurt, worst = 0, 0, 0.0
    with figures.row("stop in a vfork storm", count) as found:
        for _ in range(count):
            assert await manager.attach(target.pid), manager.last_error(target.pid)
            before = target.ticks()
            await auntil(lambda before=before: target.ticks() > before + 5, 10, "it runs, traced")  # type: ignore[misc]
            started = time.monotonic()
            lost += await manager.detach(target.pid) is None
            hurt += await asyncio.to_thread(harmed, [target])
            worst = max(worst, time.monotonic() - started)
        found.update({
            "slowest stop": f"{worst:.2f} s", "targets harmed": hurt, "summaries lost, and said so": lost,
        })  # fmt: skip
    assert hurt == 0
    assert worst < 5


async def test_a_long_fork_loop_under_a_full_trace(
    manager: StraceManager, start: Starter, figures: Figures, tmp_path: Path
) -> None:
    count = times(200_000)
    target = start("forkloop", count)
    path = tmp_path / "trace"
    with figures.row("forks under a full trace", count) as found:
        assert await manager.attach_full_trace(target.pid, path)
        target.go()
        slowest = await watch(target, count)
        await asyncio.to_thread(target.channel.expect, "done", 60)
        assert await manager.detach_full_trace(target.pid)
        size = (await asyncio.to_thread(path.stat)).st_size
        forks = await asyncio.to_thread(_count, path)
        found.update({"longest pause": f"{slowest:.2f} s", "waits in the trace": f"{forks:,}", "MB": size // 10**6})
    path.unlink()
    assert forks == count


async def watch(target: Workload, count: int) -> float:
    """Follow the counter to its end; the longest time in which it did not move."""
    last, moved, slowest = -1, time.monotonic(), 0.0
    while (now := target.ticks()) < count:
        if now != last:
            last, moved = now, time.monotonic()
        slowest = max(slowest, time.monotonic() - moved)
        assert slowest < 5, f"frozen at fork {now}"
        await asyncio.sleep(0.01)
    return slowest


def _count(path: Path) -> int:
    """Returns of wait4 that name a child."""
    with path.open("rb") as file:
        return sum((b" wait4(" in line or b"<... wait4 resumed>" in line) and b"= " in line for line in file)
