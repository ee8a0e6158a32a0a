"""200 owners and 100 guards killed at random times: within three seconds no tracer is left and every target runs."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import pytest

from straced import StraceManager
from tests.faults.test_owner_deaths import BUSY_OWNER
from tests.soak.conftest import Figures, harmed, survivors, times
from tests.support import proc
from tests.support.owner import start_owner
from tests.support.workload import Starter, Workload

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(1800)]


def some_targets(start: Starter) -> list[Workload]:
    return [start("tick"), start("busy", 10), start("relay", 2)]


def test_owners_killed_at_random_times(start: Starter, figures: Figures) -> None:
    targets = some_targets(start)
    stopped = start("tick")
    stopped.stop()
    every = [*targets, stopped]
    count = times(200)
    chance = random.Random(200)
    traced, orphans, hurt, worst = 0, 0, 0, 0.0
    with figures.row("kill -9 of the owner", count) as found:
        for _ in range(count):
            owner = start_owner(start, BUSY_OWNER, env={"TARGETS": " ".join(str(target.pid) for target in every)})
            owner.channel.expect("begins")
            time.sleep(chance.uniform(0, 0.25))  # the random moment itself: attaching, tracing, stopping
            below = proc.descendants(owner.pid)
            traced += any(proc.tracer(target.pid) for target in every)
            owner.signal(signal.SIGKILL)
            killed = time.monotonic()
            owner.process.wait(5)
            orphans += survivors(below)
            hurt += harmed(every)
            worst = max(worst, time.monotonic() - killed)
            hurt += proc.state(stopped.pid) != "T"
            owner.close()
            start.started.remove(owner)
        found.update({
            "while tracing": traced, "orphans": orphans, "targets harmed": hurt, "slowest let-go": f"{worst:.2f} s",
        })  # fmt: skip
    assert (orphans, hurt) == (0, 0)


async def test_guards_killed_at_random_times(manager: StraceManager, start: Starter, figures: Figures) -> None:
    targets = some_targets(start)
    count = times(100)
    chance = random.Random(100)
    attached, orphans, hurt, worst = 0, 0, 0, 0.0
    with figures.row("kill -9 of the guard", count) as found:
        for _ in range(count):
            work = [asyncio.ensure_future(manager.attach(target.pid)) for target in targets]
            await asyncio.sleep(chance.uniform(0, 0.05))
            guards = [pid for pid in proc.children(os.getpid()) if "guard" in " ".join(proc.cmdline(pid))]
            helpers = [pid for guard in guards for pid in proc.descendants(guard)]
            attached += any(proc.tracer(target.pid) for target in targets)
            for pid in guards:
                os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            orphans += await asyncio.to_thread(survivors, helpers)
            worst = max(worst, time.monotonic() - killed)
            # an attach that was under way may have gone on with a new guard
            await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 10)
            for target in targets:
                await manager.detach(target.pid)
            hurt += await asyncio.to_thread(harmed, targets)
        found.update({
            "while tracing": attached, "orphans": orphans, "targets harmed": hurt, "slowest let-go": f"{worst:.2f} s",
        })  # fmt: skip
    assert (orphans, hurt) == (0, 0)
    assert await manager.attach(targets[0].pid)
    assert await manager.detach(targets[0].pid) is not None
