"""A server under load, with every call written down: redis by straced, strace, perf trace and bpftrace, in turns.

Requests a second that ``redis-benchmark`` gets, and how much of that of the server alone. Counting is there to show
what the records add. perf and bpftrace need tracefs, as in :mod:`benchmarks.overhead`. Everybody writes to a file on
the same disk; each round begins with another one.

    python -m benchmarks.server [--rounds 5] [--requests 40000] [--clients 20] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks import tracefs, tracers
from benchmarks.records import recorded
from straced.tracers.ebpf import EbpfTracer

VARIANTS = ("alone", "counted", "recorded", "bpftrace", "perf trace", "strace")
BY_TRACEFS = ("bpftrace", "perf trace")
TO_REACH = 0.9
"""Of the throughput of the server alone, with everything recorded."""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """A redis that keeps nothing; gives its pid and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*words, "--dir", str(folder)], stdout=subprocess.DEVNULL) as process:
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.01)
            yield process.pid, port
        finally:
            process.terminate()


def requests_a_second(port: int, requests: int, clients: int) -> float:
    """What clients get of GET."""
    words = ["redis-benchmark", "-p", str(port), "-n", str(requests), "-c", str(clients), "-t", "get", "--csv"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return float(said[-1].split(",")[1].strip('"'))


@contextlib.asynccontextmanager
async def variant(name: str, tracer: EbpfTracer, pid: int, folder: Path) -> AsyncIterator[None]:
    """The server with one of them on it."""
    async with contextlib.AsyncExitStack() as stack:
        if name == "counted":
            await stack.enter_async_context(tracers.straced(tracer, pid))
        elif name == "recorded":
            await stack.enter_async_context(recorded(pid, folder))
        elif name != "alone":
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / "calls"
            stack.enter_context(tracers.each_call(name, pid, output))
        yield


async def measure(
    names: tuple[str, ...], rounds: int, requests: int, clients: int, folder: Path
) -> dict[str, list[float]]:
    """The throughput of each round."""
    found = defaultdict(list)
    tracer = EbpfTracer(ready=True)
    with server(folder) as (pid, port):
        await asyncio.to_thread(requests_a_second, port, requests, clients)  # warm
        for turn in range(rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                async with variant(name, tracer, pid, folder):
                    found[name].append(await asyncio.to_thread(requests_a_second, port, requests, clients))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    await tracer.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the records go")
    arguments = parser.parse_args()
    tracefs.begin_with_it()
    names = tuple(name for name in VARIANTS if name not in BY_TRACEFS or tracefs.is_mounted())
    found = asyncio.run(measure(names, arguments.rounds, arguments.requests, arguments.clients, arguments.folder))
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds"
    )
    alone = statistics.median(found["alone"])
    for name in names:
        middle, most = statistics.median(found[name]), max(found[name])
        print(f"{name:<10} {middle:>9,.0f} requests/s  best {most:>9,.0f}  {100 * middle / alone:>5.1f} % of alone")
    kept = statistics.median(found["recorded"]) / alone
    print(f"recorded: {100 * kept:.1f} %, to reach {100 * TO_REACH:.0f} %")
    return 0 if kept >= TO_REACH else 1


if __name__ == "__main__":
    raise SystemExit(main())
