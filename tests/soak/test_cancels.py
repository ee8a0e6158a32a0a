"""2,000 random cancels over the whole API, 500 jobs that nobody asks about: descriptors, tasks, memory stay flat."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from straced import Profiler
from tests.library import points as cancelling
from tests.library.belongings import Held, settles_to
from tests.library.calls import CALLS, Bench
from tests.soak.conftest import Figures, times
from tests.support import proc
from tests.support.needs import require
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(1200)]
WAYS: dict[str, Callable[..., object]] = {
    "once": cancelling.once,
    "again and again": cancelling.again_and_again,
    "in a scope": cancelling.in_a_scope,
}
WARM = 100
"""Calls after which all that is made once has been made."""
POINTS = 4
"""Of a call that has not been through yet; from then on it is known how many there are."""


def resident_kb() -> int:
    """Resident memory of this process, without its rubbish."""
    gc.collect()
    return int(proc.status(os.getpid(), "VmRSS").split()[0])


async def unloaded_kb() -> int:
    """The same once no programs are loaded any more: of these 25 MB are mapped, and they linger for some seconds."""
    await auntil(lambda: "bpf-map" not in Path("/proc/self/maps").read_text(), 30, "what lingers is unloaded")
    return resident_kb()


@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
async def test_random_cancels(
    tracer: str, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    require("anyio", *(["ebpf"] if tracer == "ebpf" else []))
    count = times(1000)
    target = start("tick")
    chance = random.Random(8)
    calls = [each for each in CALLS if tracer in each.tracers and not each.endless_s]
    outcomes: Counter[str] = Counter()
    lengths: dict[int, int] = {}
    bench = Bench(tracer, target.pid, tmp_path / "traces")
    (tmp_path / "traces").mkdir()
    await bench.warm()
    with cancelling.counted(monkeypatch) as points, figures.row(f"random cancels, {tracer}", count) as found:
        before, memory_kb = Held(target.pid), 0
        for number in range(WARM + count):
            if number == WARM:
                memory_kb = await unloaded_kb()
            cancel = WAYS[chance.choice(list(WAYS))]
            which = chance.randrange(len(calls))
            steps = calls[which].steps(bench)
            work = await anext(steps)
            at = chance.randrange(lengths.get(which, POINTS) + 1)
            cancelled = await cancel(points, at, work())  # type: ignore[misc]
            if not cancelled:
                lengths[which] = max(1, points.count)
            outcomes["cancelled" if cancelled else "through"] += 1
            with suppress(StopAsyncIteration):
                await steps.asend(cancelled)
        await settles_to(before, f"{count} cancels")
        grown_kb = await unloaded_kb() - memory_kb
        found.update(outcomes)
        found["memory grown"] = f"{grown_kb} kB"
    await bench.close()
    assert grown_kb < 4096 + 2 * count
    assert outcomes["cancelled"] > count // 2
    assert target.untraced()
    assert target.runs()


@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
async def test_jobs_that_nobody_asks_about(tracer: str, start: Starter, figures: Figures) -> None:
    if tracer == "ebpf":
        require("ebpf")
    count = times(500)
    idle = start("tick")
    async with Profiler(tracer) as profiler:
        await (await profiler.attach(idle.pid)).detach()

        async def job() -> None:
            workload = start("n", 10)
            await profiler.attach(workload.pid)
            await workload.work()
            await asyncio.to_thread(workload.let_end)
            start.forget(workload)

        for _ in range(20):
            await job()
        before = Held(idle.pid)
        memory_kb = resident_kb()
        with figures.row(f"jobs without a question, {tracer}", count) as found:
            for _ in range(count):
                await job()
            await settles_to(before, f"{count} jobs that nobody asked about")
            assert profiler.sessions == []
            grown_kb = resident_kb() - memory_kb
            found["descriptors, tasks grown"] = 0
            found["memory grown"] = f"{grown_kb} kB"
    assert grown_kb < 2048 + count
