"""What it costs to count requests of io_uring: the cheapest there is, one that does nothing, 16 an io_uring_enter.

Untraced; counted without them; counted with them; and beside somebody else whose requests are counted. Rounds
alternate, and each begins in turn. Figures are CPU time of one request: the median and the least of the rounds.

    python -m benchmarks.uring [--rounds 15]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import tracers, workloads
from benchmarks.workloads import Running
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer

VARIANTS = ("untraced", "counted", "requests", "another's")
REQUESTS = AttachOptions(io_uring=True)
COUNT = "1600000"


async def measure(nops: Path, rounds: int) -> dict[str, list[float]]:
    """The CPU time of a request in every run, by variant."""
    found = defaultdict(list)
    tracer = EbpfTracer(ready=True)
    for turn in range(rounds):
        first = turn % len(VARIANTS)
        for name in VARIANTS[first:] + VARIANTS[:first]:
            running, other = Running((str(nops), COUNT)), Running((str(nops), "16"))
            async with contextlib.AsyncExitStack() as stack:
                if name == "counted":
                    await stack.enter_async_context(tracers.straced(tracer, running.pid))
                elif name != "untraced":
                    pid = running.pid if name == "requests" else other.pid
                    await stack.enter_async_context(tracers.straced(tracer, pid, REQUESTS))
                found[name].append((await asyncio.to_thread(running.measure, "ns/call"))[1])
            other.measure("ns/call")
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    await tracer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        nops = Path(name) / "nops"
        subprocess.run(["gcc", "-O2", "-o", nops, workloads.HERE / "workloads" / "nops.c"], check=True)
        found = asyncio.run(measure(nops, rounds))
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {rounds} rounds")
    for variant in VARIANTS:
        figures = found[variant]
        print(f"{variant:<9} {statistics.median(figures):>6,.0f} least {min(figures):>6,.0f} ns")


if __name__ == "__main__":
    main()
