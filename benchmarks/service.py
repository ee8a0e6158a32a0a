"""What the service costs: CPU, memory and jitter by number of processes; history's size and speed; the socket.

    python -m benchmarks.service [--json] [--seconds 65] [--sizes 1,10,100,1000] [--idle 60] [--only live,page]

Real processes, of which one in ten makes twenty different system calls each second; a real ``straced serve`` at 1 s.
CPU is told as it was, and as it would be if the machine were at its best (``slowdown`` says how far it was from that).
A point is measured once what it uses is steady: on a loaded machine a thousand processes are attached to for minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.result import Result, at_most, table
from benchmarks.service_clients import clients, idle, rate
from benchmarks.service_history import size_of_history, speed_of_history
from benchmarks.service_page import page
from benchmarks.service_world import Speed, cpu_s, daemon, rss_mb, steady, workers
from straced.client.client import Client
from straced.model.facts import HostFacts
from straced.store.history import History

PARTS = ("history", "live", "idle", "clients", "page", "rate")


async def settle(where: Path, count: int) -> tuple[list[float], int]:
    """Wait until all are counted, as far as they ever are; returns round trips in ms, and how many are counted."""
    async with Client(where) as client:
        counted = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(180):
                while counted < count:
                    await asyncio.sleep(0.5)
                    snapshot = await client.snapshot()
                    counted = 0 if snapshot is None else sum(each.calls is not None for each in snapshot.processes)
        trips = []
        for _ in range(500):
            await asyncio.sleep(0.003)
            began = time.perf_counter()
            await client.request("watch.list", {}, list)
            trips.append(1000 * (time.perf_counter() - began))
    return trips, counted


def one(size: int, active: int, seconds: float) -> list[Result]:
    """One point of the curve."""
    with tempfile.TemporaryDirectory() as name, workers(size, active) as parent:
        Path(name).chmod(0o755)
        with daemon(Path(name), parent) as (pid, where):
            trips, counted = asyncio.run(settle(where, size + 1))
            waited = steady(lambda: cpu_s(pid))
            speed = Speed()
            speed.start()
            before, began, since = cpu_s(pid), time.monotonic(), time.time()
            time.sleep(seconds)
            used = 100 * (cpu_s(pid) - before) / (time.monotonic() - began)
            memory = rss_mb(pid)
            slow = speed.slowdown()
        jitter, late = ticks(Path(name) / "state" / "history.db", since)
    what = f"{size} processes, {active} active"
    every = active == size > 1
    return [
        at_most(f"{what}: CPU at the machine's best", "%", [used / slow], 20.0 if every else 5.0),
        Result(f"{what}: CPU as it was", "%", used, None, f"slowdown {slow:.2f}", True, 1),
        Result(f"{what}: steady after", "s", waited, None, "", True, 1),
        at_most(f"{what}: memory", "MB", [memory], 180.0 if every else 90.0),
        at_most(f"{what}: jitter p99", "ms", [jitter], 50.0),
        at_most(f"{what}: late ticks", "", [late], 0.0),
        at_most(f"{what}: round trip", "ms", trips, 0.5),
        Result(f"{what}: counted", "", counted, None, f"= {size + 1}", counted == size + 1, 1),
    ]


def ticks(history: Path, since: float) -> tuple[float, int]:
    """How far ticks were from their second (ms, p99), and how many were late, as history has them."""
    reader = History(history)
    rows = reader.connection.execute("select data from host where ts >= ? order by ts", (int(since * 1000),)).fetchall()
    reader.close()
    facts = [msgspec.msgpack.decode(data, type=HostFacts) for (data,) in rows]
    begins = [each.monotonic_ns for each in facts]
    off = sorted(abs(b - a - 10**9) / 1e6 for a, b in pairwise(begins))
    late = facts[-1].own.late_ticks - facts[0].own.late_ticks
    return (statistics.quantiles(off, n=100)[98] if len(off) > 1 else off[0]), late


def live(sizes: list[int], seconds: float) -> list[Result]:
    """The curve: a tenth of the processes active; of the largest number also all of them."""
    points = [*((size, max(1, size // 10)) for size in sizes), (max(sizes), max(sizes))]
    return [result for size, active in dict.fromkeys(points) for result in one(size, active, seconds)]


def main() -> int:
    """Measure, print, and fail when a limit is not kept."""
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    options.add_argument("--seconds", type=float, default=65.0, help="of each point: a minute has the roll-up in it")
    options.add_argument("--sizes", default="1,10,100,1000")
    options.add_argument("--idle", type=float, default=60.0, help="seconds")
    options.add_argument("--only", default=",".join(PARTS), help=", ".join(PARTS))
    wanted = options.parse_args()
    parts = wanted.only.split(",")
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o700)
        if "history" in parts:
            results += [*size_of_history(Path(name)), *speed_of_history(Path(name))]
    if "live" in parts:
        results += live([int(size) for size in wanted.sizes.split(",")], wanted.seconds)
    results += idle(wanted.idle) if "idle" in parts else []
    results += clients() if "clients" in parts else []
    results += page(wanted.seconds) if "page" in parts else []
    results += rate() if "rate" in parts else []
    if wanted.json:
        print(json.dumps({"machine": machine.facts(), "results": [result.to_dict() for result in results]}))
    else:
        print(table(results, machine.facts()))
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
