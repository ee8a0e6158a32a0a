"""A service without work, one with 200 clients, and what a watched program keeps of its speed."""

from __future__ import annotations

import asyncio
import mmap
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.build import compiler

from benchmarks.result import Result, at_most, at_most_times
from benchmarks.service_world import cpu_s, daemon, rss_mb, wakeups, workers
from straced.client.client import Client
from straced.profiling.profiler import Profiler

CLIENTS = 200
RATE_SOURCE = Path(__file__).parents[1] / "tests" / "soak" / "service_rate.c"


def idle(seconds: float) -> list[Result]:
    """Nothing is watched and nobody asks: wake-ups, and growth."""
    with tempfile.TemporaryDirectory() as name, daemon(Path(name), None, "5s") as (pid, _where):
        time.sleep(12)  # the first samples fill what is kept of the host
        before, memory, used = wakeups(pid), rss_mb(pid), cpu_s(pid)
        time.sleep(seconds)
        rate = (wakeups(pid) - before) / seconds
        growth = rss_mb(pid) - memory
        cpu = 100 * (cpu_s(pid) - used) / seconds
    what = f"idle for {seconds:.0f} s"
    return [
        at_most(f"{what}: wake-ups a second", "", [rate], 2.0),
        at_most(f"{what}: growth", "MB", [growth], 0.5),
        at_most(f"{what}: CPU", "%", [cpu], 0.5),
    ]


def clients() -> list[Result]:
    """So many clients that are told each tick of 100 processes, and ask now and then."""
    with tempfile.TemporaryDirectory() as name, workers(100, 10) as parent:
        Path(name).chmod(0o755)
        with daemon(Path(name), parent) as (pid, where):
            lag, trips, memory = asyncio.run(_many(where, pid))
    return [
        at_most(f"{CLIENTS} clients: from a sample to the last one who was told", "ms", lag, 1000.0),
        at_most(f"{CLIENTS} clients: round trip", "ms", trips, 5.0),
        at_most(f"{CLIENTS} clients: memory", "MB", [memory], 120.0),
    ]


async def _many(where: Path, pid: int) -> tuple[list[float], list[float], float]:
    heard: dict[int, list[float]] = {}
    tasks = [asyncio.create_task(_listen(where, heard)) for _ in range(CLIENTS)]
    trips = []
    async with Client(where) as one:
        async with asyncio.timeout(60):
            while not any(len(lags) == CLIENTS for lags in heard.values()):
                await asyncio.sleep(0.1)
        heard.clear()
        for _ in range(150):
            await asyncio.sleep(0.1)
            began = time.perf_counter()
            await one.request("watch.list", {}, list)
            trips.append(1000 * (time.perf_counter() - began))
    memory = rss_mb(pid)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [max(lags) for lags in heard.values() if len(lags) == CLIENTS], trips, memory


async def _listen(where: Path, heard: dict[int, list[float]]) -> None:
    """A client that reads ticks, and looks at nothing but their time: two hundred that decode them are another test."""
    reader, writer = await asyncio.open_unix_connection(str(where), limit=1 << 24)
    writer.write(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1}}\n')
    writer.write(b'{"jsonrpc":"2.0","id":2,"method":"subscribe","params":{"topics":["ticks"]}}\n')
    try:
        while line := await reader.readline():
            if found := re.search(rb'"monotonic_ns":(\d+)', line):
                taken = int(found[1])
                heard.setdefault(taken, []).append((time.monotonic_ns() - taken) / 1e6)
    finally:
        writer.close()


def rate(rounds: int = 9, seconds: float = 1.0) -> list[Result]:
    """What a program of 50,000 calls a second keeps of its rate while it is watched, by CPU time, by turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        binary, file = folder / "rate", folder / "count"
        subprocess.run([compiler() or "cc", "-O1", "-o", binary, RATE_SOURCE], check=True)
        spins = subprocess.run([binary], capture_output=True, text=True, check=True).stdout.strip()
        file.write_bytes(bytes(4096))
        program = subprocess.Popen([binary, file, spins], stdout=subprocess.PIPE)
        assert program.stdout is not None
        program.stdout.readline()
        try:
            with file.open("r+b") as raw, mmap.mmap(raw.fileno(), 4096) as map_, daemon(folder, None) as (_pid, where):
                count = memoryview(map_).cast("Q")
                kept, cost = asyncio.run(_by_turns(where, program.pid, count, rounds, seconds))
                count.release()
        finally:
            program.kill()
            program.wait()
            program.stdout.close()
    return [
        Result("a program of 50,000 calls/s keeps", "%", kept, None, ">= 95 %", kept >= 95.0, rounds),
        at_most_times("what a call costs it more, bare: by straced attach", "ns", [cost[0]], [cost[1]], 1.25, 50.0),
    ]


async def _by_turns(
    where: Path, pid: int, count: memoryview, rounds: int, seconds: float
) -> tuple[float, tuple[float, float]]:
    """What is kept of the rate in percent, and what a call costs (ns) by the service and without it."""
    bare, watched, attached = [], [], []
    async with Client(where) as client, Profiler("ebpf") as profiler:
        for _ in range(rounds):
            bare.append(await _calls_by_cpu(pid, count, seconds))
            for asked, found in ((client, watched), (profiler, attached)):
                session = await asked.attach(pid)
                found.append(await _calls_by_cpu(pid, count, seconds))
                await session.detach()
    without, with_, alone = (statistics.median(values) for values in (bare, watched, attached))
    return 100 * with_ / without, (1e9 / with_ - 1e9 / without, 1e9 / alone - 1e9 / without)


async def _calls_by_cpu(pid: int, count: memoryview, seconds: float) -> float:
    """Calls a second of CPU time, which a busy machine changes little."""
    before, used = count[0], _cpu_ns(pid)
    await asyncio.sleep(seconds)
    return float((count[0] - before) * 1e9 / max(1, _cpu_ns(pid) - used))


def _cpu_ns(pid: int) -> int:
    """CPU time to the nanosecond, from schedstat."""
    with open(os.path.join("/proc", str(pid), "schedstat"), "rb") as file:
        return int(file.read().split()[0])
