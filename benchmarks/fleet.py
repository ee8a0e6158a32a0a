"""A fleet on one machine: services in network namespaces, scraped by one VictoriaMetrics; and what they export.

    python -m benchmarks.fleet [--json] [--hosts 50] [--seconds 120]

Each service watches four processes that make twenty different system calls each second. It listens on 127.0.0.1:9464
of its namespace; what an agent does on a real host, a forwarder does here. Needs root and victoria-metrics. The second
part is what a host of 1,000 processes, of which 100 are at work, exports in an hour, and how fast so many are asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.service.samples import ME, NOON, calls, process, tick
from tests.service.test_scrapers import queries, rules

from benchmarks import machine
from benchmarks.result import Result, at_most, table
from benchmarks.service_world import WORKERS
from straced.config import schema
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.tick import ProcessSample
from straced.service.metrics.openmetrics import Totals
from straced.store.history import History
from straced.store.hourly_export import HourlyExport
from straced.store.writer import HistoryWriter

PORT = 9464
SOURCE = str(Path(__file__).parents[1] / "src")
NAMES = (
    *("read", "write", "openat", "close", "fstat", "lseek", "mmap", "munmap", "brk", "futex", "getpid", "sendto"),
    *("recvfrom", "fdatasync", "pread64", "pwrite64", "ioctl", "fcntl", "getdents64", "newfstatat"),
)
CLONE_NEWNET = 0x40000000
EVERY_S = 15
SERVICE = """
import fcntl, os, socket, struct, subprocess, sys
with socket.socket() as control:  # lo goes up
    flags = struct.unpack("16sH", fcntl.ioctl(control, 0x8913, struct.pack("16sH14x", b"lo", 0))[:18])[1]
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))
workers = subprocess.Popen([sys.executable, "-S", "-c", sys.argv[2], "4", "4"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, start_new_session=True)
workers.stdout.readline()
os.set_inheritable(workers.stdin.fileno(), True)  # held by the service: with it they end
with open(sys.argv[1], "a") as config:
    config.write(f'[[watch]]\\ntarget = "{workers.pid}"\\nlabels = {{job = "shop"}}\\n')
os.execv(sys.executable, [sys.executable, "-m", "straced", "serve", "-c", sys.argv[1]])
"""


@contextlib.contextmanager
def services(folder: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many of them, each in a network of its own."""
    made: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(count):
            room = folder / f"host-{number:02}"
            room.mkdir()
            (room / "straced.toml").write_text(
                f'interval = "5s"\nstate = "{room / "state"}"\n[ipc]\nsocket = "{room / "straced.sock"}"\n'
                f'[room]\nrows = 1024\n[metrics]\nlisten = "127.0.0.1:{PORT}"\n'
            )
            with (room / "log").open("wb") as log:
                made.append(
                    subprocess.Popen(
                        ["unshare", "--net", sys.executable, "-c", SERVICE, str(room / "straced.toml"), WORKERS],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env={**os.environ, "PYTHONPATH": SOURCE},
                    )
                )
        yield made
    finally:
        for each in made:
            each.terminate()
        for each in made:
            each.wait()


def socket_in(pid: int) -> socket.socket:
    """A socket of the network that a process is in."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as ours, open(f"/proc/{pid}/ns/net") as theirs:
        if libc.setns(theirs.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket()
        finally:
            libc.setns(ours.fileno(), CLONE_NEWNET)


async def forward(pid: int) -> asyncio.Server:
    """Listen for the scraper, and hand on to the service of ``pid``."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = socket_in(pid)
            there.setblocking(False)
            await asyncio.get_running_loop().sock_connect(there, ("127.0.0.1", PORT))
            theirs, ours = await asyncio.open_connection(sock=there)
            await asyncio.gather(copy(reader, ours), copy(theirs, writer))
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


@contextlib.contextmanager
def store(folder: Path, targets: list[int]) -> Iterator[str]:
    """One VictoriaMetrics that scrapes them all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    jobs = "".join(
        f"  - targets: ['127.0.0.1:{target}']\n    labels: {{instance: host-{number:02}}}\n"
        for number, target in enumerate(targets)
    )
    (folder / "scrape.yml").write_text(
        f"global: {{scrape_interval: {EVERY_S}s}}\nscrape_configs:\n- job_name: straced\n  honor_labels: true\n"
        f"  static_configs:\n{jobs}"
    )
    with (folder / "victoria.log").open("wb") as log:
        running = subprocess.Popen(
            ["victoria-metrics", f"-promscrape.config={folder / 'scrape.yml'}", f"-storageDataPath={folder / 'vm'}",
             f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s", "-search.disableCache"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait()


def ask(address: str, query: str) -> list[Any]:
    """What a query returns; nothing while nobody answers."""
    try:
        where = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(where, timeout=60) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []


def own(address: str, name: str) -> float:
    """A figure of VictoriaMetrics about itself, added up over its parts."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    parts = ("storage/inmemory", "storage/small", "storage/big")
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{") and any(p in line for p in parts)
    )


async def scraped(folder: Path, hosts: int, seconds: float) -> list[Result]:
    """Series, bytes and the times of queries."""
    with services(folder, hosts) as running:
        listeners = [await forward(each.pid) for each in running]
        ports = [each.sockets[0].getsockname()[1] for each in listeners]
        with store(folder, ports) as address:
            up = 'count(straced_syscalls_total{syscall="getppid"}) by (instance)'
            deadline = time.monotonic() + 600
            while len(await asyncio.to_thread(ask, address, up)) < hosts and time.monotonic() < deadline:
                await asyncio.sleep(1)
            await asyncio.sleep(seconds)
            results = await asyncio.to_thread(figures, address, hosts)
        for each in listeners:
            each.close()
            await each.wait_closed()
    return results


def figures(address: str, hosts: int) -> list[Result]:
    """Ask the store, and about it."""
    (counted,) = ask(address, 'count(count by (instance) (straced_syscalls_total{syscall="getppid"}))') or [
        {"value": [0, 0]}
    ]
    series = float(ask(address, 'count({__name__=~"straced_.*"})')[0]["value"][1])
    took = [float(each["value"][1]) * 1000 for each in ask(address, "scrape_duration_seconds")]
    urllib.request.urlopen(f"{address}/internal/force_flush", timeout=60).close()
    urllib.request.urlopen(f"{address}/internal/force_merge", timeout=60).close()
    rows, size = own(address, "vm_rows"), own(address, "vm_data_size_bytes")
    times = []
    for query in [*queries(), *(query for _kind, query in rules())]:
        began = time.perf_counter()
        ask(address, query)
        times.append(1000 * (time.perf_counter() - began))
    return [
        Result(
            "hosts that are scraped",
            "",
            float(counted["value"][1]),
            None,
            f"= {hosts}",
            int(counted["value"][1]) == hosts,
            1,
        ),
        Result("series a host, of 4 processes of one program", "", series / hosts, None, "", True, 1),
        Result("bytes a sample, on disk", "B", size / max(1, rows), None, "", True, int(rows)),
        at_most("scrape, median", "ms", took, 1000.0),
        at_most("slowest query of dashboard and rules", "ms", [max(times)], 1000.0),
        Result("median query", "ms", statistics.median(times), None, "", True, len(times)),
    ]


def busy(number: int, chance: random.Random) -> ProcessSample:
    """A process at work: twenty calls, whose figures are as different as real ones."""
    made = tuple(
        calls(name, int(chance.lognormvariate(5, 1)) + 1, chance.randrange(3) * (i == 3), chance.randrange(10**8))
        for i, name in enumerate(NAMES)
    )
    cpu_ns, rss = chance.randrange(10**9), chance.randrange(10**8)
    return process(number + 1, comm=f"worker-{number % 25}", rss=rss, cpu_ns=cpu_ns, made=made)


def took(chance: random.Random, at: float) -> DurationBatch:
    """How long their calls took, by program."""
    programs = []
    for number in range(25):
        made = {}
        for name in NAMES:
            middle = chance.randrange(20, 60)
            counts = {middle + step: chance.randrange(1, 1000) for step in range(10)}
            made[name] = CallDurations(chance.randrange(10**9), counts)
        programs.append(ProgramDurations("", f"worker-{number}", ME, made))
    return DurationBatch(at, tuple(programs))


def page() -> list[Result]:
    """What a scrape of a host with 1,000 processes has, of which 100 of 25 programs are at work."""
    chance, totals = random.Random(7), Totals(5000)
    idle = [process(1000 + number, comm=f"idle-{number % 25}", rss=10**7) for number in range(900)]
    for second in range(10):
        totals.tick(tick(NOON + second, *(busy(number, chance) for number in range(100)), *idle))
        totals.durations(took(chance, NOON + second))
    text, native = totals.text(), totals.protobuf()
    series = sum(not line.startswith("#") for line in text.splitlines())
    return [
        Result("series of a host with 1,000 processes", "", series, None, "", True, 1),
        Result("its page as text", "kB", len(text) / 1e3, None, "", True, 1),
        Result("its page as protobuf", "kB", len(native) / 1e3, None, "", True, 1),
    ]


def exported(folder: Path, hosts: int) -> list[Result]:
    """An hour of 1,000 processes: its bytes, what to write it takes, and how fast so many hosts are asked."""
    database, begin = folder / "private" / "history.db", time.time() // 3600 * 3600 - 7200
    writer = HistoryWriter(database, schema.StoreConfig())
    writer.start()
    idle = [process(1000 + number, rss=10**7) for number in range(900)]
    chance = random.Random(7)
    for minute in range(61):
        writer.put(tick(begin + 60 * minute, *(busy(number, chance) for number in range(100)), *idle))
        writer.put(took(chance, begin + 60 * minute))
        writer.flush(120)
    writer.close()
    history = History(database)
    began = time.process_time()
    done = HourlyExport(history, folder / "srv", "host-00").run()
    wrote = time.process_time() - began
    for number in range(1, hosts):
        HourlyExport(history, folder / "srv", f"host-{number:02}").run()
    history.close()
    moment = time.strftime("%Y-%m-%d %H:30", time.gmtime(begin))
    sizes = {
        table.name: sum(path.stat().st_size for path in table.rglob("*host-00/*"))
        for table in (folder / "srv").iterdir()
    }
    print("bytes by table:", sizes, file=sys.stderr)
    results = [
        Result("an hour of a host with 1,000 processes, exported", "MB", done.bytes / 1e6, None, "", True, 1),
        Result("CPU to write it", "s", wrote, None, "", True, 1),
    ]
    for words in (["--at", moment], ["--by", "errors"], ["--by", "calls", "--host", "host-00"]):
        began = time.perf_counter()
        argv = [sys.executable, "-m", "straced", "history", "--from", str(folder / "srv"), *words]
        subprocess.run(
            argv, env={**os.environ, "PYTHONPATH": SOURCE, "TZ": "UTC"}, stdout=subprocess.DEVNULL, check=True
        )
        shown = " ".join(word.split()[0] for word in words)
        results.append(Result(f"{hosts} hosts: history {shown}", "s", time.perf_counter() - began, None, "", True, 1))
    return results


def main() -> int:
    """Measure, print, and fail when a limit is not kept."""
    options = argparse.ArgumentParser()
    options.add_argument("--json", action="store_true")
    options.add_argument("--hosts", type=int, default=50)
    options.add_argument("--seconds", type=float, default=120.0, help="that are scraped")
    options.add_argument("--only", default="scraped,exported")
    wanted = options.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        if "scraped" in wanted.only:
            results += asyncio.run(scraped(Path(name), wanted.hosts, wanted.seconds))
        results += page()
        if "exported" in wanted.only:
            results += exported(Path(name), wanted.hosts)
    if wanted.json:
        print(json.dumps({"machine": machine.facts(), "results": [result.to_dict() for result in results]}))
    else:
        print(table(results, machine.facts()))
    return 0 if all(result.kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
