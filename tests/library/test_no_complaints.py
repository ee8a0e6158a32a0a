"""``python -X dev -W error``: no ResourceWarning, no coroutine that nobody waited for, no slow callback of ours."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.owner import environment
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]
SCRIPT = """
import asyncio, gc, logging, os, sys
from pathlib import Path
import straced
from straced import blocking
from straced.tracers.strace.recording import RecordOptions

pid, name, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])

async def cancelled(work, turns):
    task = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

async def main():
    async with straced.Profiler(name) as profiler:
        session = await profiler.attach(pid)
        if name == "ebpf":
            async for window in session.every(0.01):
                break
            events = session.events()
            await cancelled(anext(events), 3)
        for turns in range(8):
            await cancelled(session.wait(), turns)
            await cancelled(profiler.spawn(["sleep", "60"]), turns)
        child = await profiler.spawn(["true"])
        await child.process.wait()
        await child.result()
        await session.detach()
        for turns in range(8):
            await cancelled(profiler.attach(pid), turns)
        try:
            await profiler.attach(1 << 22)
        except straced.AttachError:
            pass
        session = await profiler.attach(pid)
    await straced.why(pid, duration=0.05)
    manager = straced.StraceManager()
    for turns in range(8):
        await manager.attach(pid)
        await cancelled(manager.attach_full_trace(pid, folder / str(turns)), turns)
        await cancelled(manager.detach(pid), turns)
        await manager.detach(pid)
    process = await manager.spawn(["true"])
    await process.wait()
    await manager.detach_all()

asyncio.run(main(), debug=False)
with blocking.Profiler(name) as profiler:
    profiler.attach(pid).detach()
gc.collect()
"""


def test_nothing_is_complained_of(tracer: str, start: Starter, tmp_path: object) -> None:
    target = start("tick")
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, str(target.pid), tracer, str(tmp_path)],
        env={**environment(), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (run.returncode, run.stdout) == (0, "")
    assert not any(word in run.stderr for word in ("Warning", "Error", "never", "Exception", "Traceback")), run.stderr
