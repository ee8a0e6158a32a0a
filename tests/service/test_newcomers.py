"""Programs that are watched from the moment they begin, as the kernel tells, long before the next look at all.

Of `service/collect/exec_listener.py` and `tracers/ebpf/exec_events.py`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from straced.ipc.messages import Select
from straced.model.tick import Tick
from tests.service.daemon import serving
from tests.service.needs import needs_ebpf
from tests.service.processes import READY, running
from tests.support import proc

pytestmark = needs_ebpf
COUNTED = (
    "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
    + READY
    + "sys.stdin.readline()\nfor _ in range(311): getppid()\nsys.stdin.readline()\n"
)


def counted_pids(tick: Tick) -> set[int]:
    return {sample.facts.pid for sample in tick.processes if sample.calls is not None}


async def test_found_when_it_begins_and_again_when_it_is_restarted(tmp_path: Path) -> None:
    name = f"straced-{os.getpid()}"
    watch = f'[[watch]]\ntarget = "name:{name}"\nlabels = {{job = "new"}}\n'
    with serving(tmp_path, watch, discover="1h") as daemon:
        async with daemon.client() as client:
            while (await client.status()).ticks < 2:  # the only look is over
                await asyncio.sleep(0.02)
            for round_ in (1, 2):
                with running(COUNTED, name=name) as process:
                    async with asyncio.timeout(20):
                        while not (tick := await client.snapshot()) or process.pid not in counted_pids(tick):
                            await asyncio.sleep(0.02)
                    process.stdin.write("go\n")  # type: ignore[union-attr]
                    process.stdin.flush()  # type: ignore[union-attr]

                    async def counted() -> int:
                        answer = await client.history(Select(job="new"))
                        return next((row.calls or 0 for row in answer.rows if row.name == "getppid"), 0)

                    async with asyncio.timeout(20):
                        while await counted() != 311 * round_:
                            await asyncio.sleep(0.02)
                async with asyncio.timeout(20):
                    while (await client.status()).watched:
                        await asyncio.sleep(0.02)


async def test_without_such_rules_nobody_listens(tmp_path: Path) -> None:
    """The kernel is asked only while a rule may match a newcomer, and asked no more when it is taken away."""
    with serving(tmp_path) as daemon:
        pid = daemon.process.pid  # type: ignore[union-attr]

        def rings() -> int:
            return sum("bpf-map" in what for what in proc.fds(pid).values())

        async with daemon.client() as client:
            assert rings() == 0
            await client.watch("name:no-such-program")
            assert rings() == 1
            await client.unwatch("name:no-such-program")
            assert rings() == 0
