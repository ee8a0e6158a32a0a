"""Processes of another user that do their worst, and what others see of the service meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from straced.client.client import Client
from straced.model.tick import ProcessSample, Tick
from tests.service.daemon import SOURCE, Daemon
from tests.service.processes import as_nobody

INTRUDER = 65534
WAIT_S = 0.5 if os.environ.get("STRACED_SOAK") else 2.0 * float(os.environ.get("STRACED_TEST_PATIENCE", "3")) / 3
"""The longest that anybody may wait: two seconds, on a machine that is not shared with others."""
MEMORY_BYTES = 200 * 10**6
PRELUDE = """
import asyncio, json, os, sys
sys.path.insert(0, {source!r})
from straced.client import Client, Select
from straced.errors import StracedError
async def attempt(work):
    try:
        await work
        return "fine"
    except StracedError as error:
        return error.code
"""


@contextlib.contextmanager
def process(code: str, *words: str, ready: str = "ready") -> Iterator[subprocess.Popen[str]]:
    """A process of the intruder that prints ``ready``, for the length of a block."""
    argv = [*as_nobody(), "/usr/bin/python3", "-I", "-S", "-c", code, *words]
    made = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        assert made.stdout is not None
        assert made.stdout.readline().strip() == ready
        yield made
    finally:
        made.kill()
        made.communicate()


def client(daemon: Daemon, body: str, *words: object) -> dict[str, object]:
    """Run the body of a coroutine as the intruder, with a ``client``; it fills ``said``, which is returned."""
    indented = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
    code = (
        PRELUDE.format(source=SOURCE)
        + f"async def main():\n    said = {{}}\n    async with Client({str(daemon.socket)!r}) as client:\n{indented}"
        + "    print(json.dumps(said), flush=True)\nasyncio.run(main())\n"
    )
    argv = [*as_nobody(), sys.executable, "-", *map(str, words)]
    done = subprocess.run(argv, input=code, capture_output=True, text=True, timeout=120, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def peak(daemon: Daemon) -> int:
    """The most memory that a service had."""
    assert daemon.process is not None
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


@contextlib.asynccontextmanager
async def others_are_served(daemon: Daemon, ticks: int = 5) -> AsyncIterator[None]:
    """Fail unless root is answered in time all the while, the tick goes on, and memory is what it may be."""
    worst = stolen = 0.0
    seen: set[int] = set()
    over = asyncio.Event()

    async def ask() -> None:
        nonlocal worst, stolen
        while not over.is_set() or len(seen) < ticks:
            began = time.monotonic()
            async with daemon.client() as asking:
                seen.add((await asking.status()).ticks)
            worst = max(worst, time.monotonic() - began)
            began = time.monotonic()
            await asyncio.sleep(0.02)
            stolen = max(stolen, time.monotonic() - began - 0.02)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        over.set()
        await asyncio.wait_for(asking, 60)
    assert worst <= WAIT_S + 2 * stolen, (worst, stolen)
    assert peak(daemon) <= MEMORY_BYTES, peak(daemon)


async def snapshot(asking: Client, *pids: int, seconds: float = 30) -> Tick:
    """A tick in which these processes are."""
    deadline = time.monotonic() + seconds
    while True:
        found = await asking.snapshot()
        if found is not None and {*pids} <= {sample.facts.pid for sample in found.processes}:
            return found
        assert time.monotonic() < deadline, "the processes were not seen in time"
        await asyncio.sleep(0.05)


def of(tick: Tick, pid: int) -> ProcessSample:
    """The sample of a process."""
    return next(sample for sample in tick.processes if sample.facts.pid == pid)
