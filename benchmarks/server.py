"""Servers under load, every call written down: nginx and redis by straced, strace, perf trace and bpftrace, in turns.

Requests a second that clients get, how much of that of the server alone, and the server's processor time for each.
``floor`` is a pair of programs that do nothing on every call of the machine, the least for anybody who sees them all;
counting is there to show what the records add. perf and bpftrace need tracefs, as in :mod:`benchmarks.overhead`.
Everybody writes to a file on the same disk; each round begins with another one. Of ``redis-benchmark`` see
:mod:`benchmarks.servers`: what is to be reached is asked of the others.

    python -m benchmarks.server [--rounds 5] [--loads nginx,redis] [--variants alone,recorded] [--folder /tmp]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import servers, tracefs, tracers, workloads
from straced.tracers.ebpf import EbpfTracer

VARIANTS = ("alone", "floor", "counted", "recorded", "bpftrace", "perf trace", "strace")
BY_TRACEFS = ("bpftrace", "perf trace")
TO_REACH = 0.9
"""Of the throughput of the server alone, with everything recorded."""


class Figure(NamedTuple):
    """Of one run."""

    a_second: float
    cpu_us: float
    """Of the server, for a request."""
    busy: float | None


@contextlib.asynccontextmanager
async def variant(name: str, tracer: EbpfTracer, pid: int, programs: Path, folder: Path) -> AsyncIterator[None]:
    """The server with one of them on it."""
    async with contextlib.AsyncExitStack() as stack:
        if name == "floor":
            stack.enter_context(tracers.empty_pair(programs))
        elif name == "counted":
            await stack.enter_async_context(tracers.straced(tracer, pid))
        elif name == "recorded":
            await stack.enter_async_context(tracers.recorded(pid, folder))
        elif name != "alone":
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / "calls"
            stack.enter_context(tracers.each_call(name, pid, output))
        yield


async def measure(load: servers.Load, names: list[str], given: argparse.Namespace) -> dict[str, list[Figure]]:
    """The figures of each round."""
    found = defaultdict(list)
    tracer = EbpfTracer(ready=True)
    with (
        tempfile.TemporaryDirectory(prefix="straced-benchmark-") as built,
        tempfile.TemporaryDirectory(prefix="straced-server-") as place,
        load.server(Path(place)) as (pid, port),
    ):
        programs = Path(built)
        workloads.build(programs)

        def ask() -> Figure:
            before_s = servers.cpu_s(pid)
            asked = load.ask(programs, port, given.requests, given.clients)
            return Figure(asked.a_second, (servers.cpu_s(pid) - before_s) / given.requests * 1e6, asked.busy)

        await asyncio.to_thread(ask)  # warm
        for turn in range(given.rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                async with variant(name, tracer, pid, programs, given.folder):
                    found[name].append(await asyncio.to_thread(ask))
            print(f"round {turn + 1} of {given.rounds}", file=sys.stderr, flush=True)
    await tracer.close()
    return found


def report(load: str, found: dict[str, list[Figure]]) -> float | None:
    """Print a table, and return how much of the throughput is left with everything recorded, if that was measured."""
    middle = {name: statistics.median(each.a_second for each in figures) for name, figures in found.items()}
    for name, figures in found.items():
        cpu_us = statistics.median(each.cpu_us for each in figures)
        busy = [each.busy for each in figures if each.busy is not None]
        print(
            f"{load:<16} {name:<10} {middle[name]:>9,.0f} requests/s"
            f"  best {max(each.a_second for each in figures):>9,.0f}"
            f"  {100 * middle[name] / middle['alone']:>5.1f} % of alone  {cpu_us:>6.2f} us of the server's"
            + (f"  client busy {100 * statistics.median(busy):.0f} %" if busy else "")
        )
    return middle["recorded"] / middle["alone"] if "recorded" in middle else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--loads", default=",".join(servers.LOADS), help="separated by commas")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="separated by commas, alone among them")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the records go")
    given = parser.parse_args()
    tracefs.begin_with_it()
    names = [name for name in given.variants.split(",") if name not in BY_TRACEFS or tracefs.is_mounted()]
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {given.rounds} rounds")
    kept = {
        name: report(name, asyncio.run(measure(servers.LOADS[name], names, given))) for name in given.loads.split(",")
    }
    reached = True
    for name, part in kept.items():
        if part is not None:
            asked = name != "redis-benchmark"
            reached &= part >= TO_REACH or not asked
            print(f"{name} recorded: {100 * part:.1f} %" + (f", to reach {100 * TO_REACH:.0f} %" if asked else ""))
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
