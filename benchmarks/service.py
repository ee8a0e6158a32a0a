"""What the service costs: CPU, memory and jitter by number of processes; history's size and speed; the socket.

    python -m benchmarks.service [--json] [--seconds 15] [--sizes 1,10,100,1000]

Real processes, of which one in ten makes twenty different system calls each second; a real ``straced serve`` at 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.service.samples import NOON, calls, process, tick

from benchmarks import machine
from benchmarks.result import Result, at_most, table
from straced import config
from straced.client import Client
from straced.service.samples import ProcessSample, Tick
from straced.service.store.history import History
from straced.service.store.writer import Store

WORKERS = """
import os, select, signal, sys, time
count, active = int(sys.argv[1]), int(sys.argv[2])
def work():
    fd = os.open("/dev/null", os.O_RDWR)
    r, w = os.pipe()
    while True:
        os.getppid(); os.getuid(); os.geteuid(); os.getgid(); os.getegid(); os.getcwd(); os.stat("/"); os.access("/", 4)
        os.write(w, b"x"); os.read(r, 1); os.lseek(fd, 0, 0); os.fstat(fd); os.umask(18); os.getpgid(0); os.getsid(0)
        os.close(os.dup(fd)); os.sched_yield(); os.uname(); os.times()
        try: os.stat("/nonexistent")
        except OSError: pass
        select.select([], [], [], 1.0)
for number in range(count):
    if os.fork() == 0:
        time.sleep(number % 100 / 100)
        if number < active: work()
        while True: signal.pause()
print("ready", flush=True)
sys.stdin.read()
os.killpg(0, signal.SIGKILL)
"""


@contextlib.contextmanager
def workers(count: int, active: int) -> Iterator[int]:
    """So many processes under one parent, whose pid this gives."""
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", WORKERS, str(count), str(active)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    parent.stdout.readline()
    try:
        yield parent.pid
    finally:
        parent.stdin.close()
        parent.wait()
        parent.stdout.close()


@contextlib.contextmanager
def daemon(folder: Path, target: int) -> Iterator[tuple[int, Path]]:
    """A service that watches the tree of ``target`` at 1 s."""
    where = folder / "run" / "straced.sock"
    file = folder / "straced.toml"
    file.write_text(
        f'interval = "1s"\ndiscover = "5s"\nstate = "{folder / "state"}"\n[ipc]\nsocket = "{where}"\n'
        f'[[watch]]\ntarget = "{target}"\n'
    )
    source = str(Path(__file__).parents[1] / "src")
    serving = subprocess.Popen(
        [sys.executable, "-m", "straced", "serve", "-c", str(file)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": source},
    )
    deadline = time.monotonic() + 60
    while not where.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield serving.pid, where
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait()


def cpu_s(pid: int) -> float:
    """CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


async def measure(pid: int, where: Path, count: int, seconds: float) -> dict[str, float]:
    """CPU, memory, jitter and the round trip, once all processes are watched."""
    async with Client(where) as client:
        async with asyncio.timeout(120):
            while (await client.status()).watched < count:
                await asyncio.sleep(0.5)
        await asyncio.sleep(3)
        trips = []
        for _ in range(200):
            began = time.perf_counter()
            await client.request("watch.list", {}, list)
            trips.append(time.perf_counter() - began)
        before, began = cpu_s(pid), time.monotonic()
        moments: list[int] = []
        counted = 0
        async with asyncio.timeout(seconds + 30):
            async for news in client.news("ticks"):
                if isinstance(news, Tick):
                    moments.append(news.monotonic_ns)
                    counted = sum(sample.calls is not None for sample in news.processes)
                if time.monotonic() - began > seconds:
                    break
        used = (cpu_s(pid) - before) / (time.monotonic() - began)
        jitter = sorted(abs(b - a - 10**9) / 1e6 for a, b in pairwise(moments))
        return {
            "cpu_pct": 100 * used,
            "rss_mb": rss_mb(pid),
            "jitter_p99_ms": jitter[min(len(jitter) - 1, int(len(jitter) * 0.99))],
            "round_trip_ms": 1000 * statistics.median(trips),
            "counted": counted,
        }


def live(sizes: list[int], seconds: float) -> list[Result]:
    """The curve: a tenth of the processes active; of the largest number also all of them."""
    results = []
    for size, active in [*((size, max(1, size // 10)) for size in sizes), (max(sizes), max(sizes))]:
        with tempfile.TemporaryDirectory() as name, workers(size, active) as parent:
            Path(name).chmod(0o755)
            with daemon(Path(name), parent) as (pid, where):
                found = asyncio.run(measure(pid, where, size, seconds))
        what = f"{size} processes, {active} active"
        limit = 20.0 if active == size else 6.0
        results.append(at_most(f"{what}: CPU", "%", [found["cpu_pct"]], limit))
        results.append(at_most(f"{what}: memory", "MB", [found["rss_mb"]], 90.0))
        results.append(at_most(f"{what}: jitter p99", "ms", [found["jitter_p99_ms"]], 50.0))
        results.append(at_most(f"{what}: round trip", "ms", [found["round_trip_ms"]], 0.5))
        exact = found["counted"] == size
        results.append(Result(f"{what}: counted", "", found["counted"], None, f"= {size}", exact, 1))
    return results


def busy_process(number: int, second: int) -> ProcessSample:
    """One that makes 20 calls, whose numbers differ from second to second."""
    made = tuple(
        calls(
            f"call{i}",
            40 + (second * 7 + number + i) % 23,
            errors=(i == 3) * (second % 5),
            wall_ns=31_337 * (i + 1) + second * 977,
        )
        for i in range(20)
    )
    return process(number + 1, rss=10**7 + number * second % 7 * 4096, cpu_ns=10**7 * (second % 2), made=made)


def bytes_of(history: History, *tables: str) -> int:
    """What tables and their indices take in the file."""
    rows = history.connection.execute("select name, sum(pgsize) from dbstat group by name").fetchall()
    return sum(size for name, size in rows if name.startswith(tables))


def size_of_history(folder: Path) -> list[Result]:
    """Bytes a day of 1,000 processes at 1 s, of which 100 make 20 calls, from ten minutes of it."""
    store = Store(folder / "history.db", config.Store())
    store.start()
    minutes = 10
    idle = [process(1000 + number, rss=10**7) for number in range(900)]
    for second in range(minutes * 60 + 1):
        busy = [busy_process(number, second) for number in range(100)]
        store.put(tick(NOON + second, *busy, *(idle if second % 60 == 0 else [])))
        if second % 100 == 0:
            store.flush(60)
    store.flush(60)
    history = History(folder / "history.db")
    used = bytes_of(history, "block", "minute", "host", "series")
    hours = bytes_of(history, "hour")
    history.close()
    store.close()
    per_day = (used * 1440 / minutes + hours * 24) / 1e9
    return [at_most("history of a day", "GB", [per_day], 1.0)]


def speed_of_history(folder: Path) -> list[Result]:
    """One process over a day, and the ten busiest of a day among a thousand."""
    store = Store(folder / "day.db", config.Store())
    store.start()
    made = tuple(calls(f"call{i}", 40, wall_ns=31_337) for i in range(20))
    for minute in range(1441):
        everybody = [process(number + 1, made=made) for number in range(1, 1000)] if minute % 60 == 0 else []
        store.put(tick(NOON + minute * 60, process(1, made=made), *everybody))
        if minute % 60 == 0:
            store.flush(120)
    store.flush(120)
    one, top = [], []
    history = History(folder / "day.db")
    for _ in range(11):
        began = time.perf_counter()
        answer = history.answer(history.find(pid=1), NOON, NOON + 86400)
        one.append(1000 * (time.perf_counter() - began))
        assert answer.total.calls == 1440 * 20 * 40
        began = time.perf_counter()
        assert len(history.top(NOON, NOON + 86400)) == 10
        top.append(1000 * (time.perf_counter() - began))
    history.close()
    store.close()
    return [at_most("one process over 24 h", "ms", one, 20.0), at_most("ten busiest of a day", "ms", top, 100.0)]


def main() -> int:
    """Measure, print, and fail when a limit is not kept."""
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    options.add_argument("--seconds", type=float, default=15.0)
    options.add_argument("--sizes", default="1,10,100,1000")
    options.add_argument("--history-only", action="store_true")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o700)
        results = [*size_of_history(Path(name)), *speed_of_history(Path(name))]
    if not wanted.history_only:
        results += live([int(size) for size in wanted.sizes.split(",")], wanted.seconds)
    if wanted.json:
        print(json.dumps({"machine": machine.facts(), "results": [result.to_dict() for result in results]}))
    else:
        print(table(results, machine.facts()))
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
