"""What more than counting costs: a loop untraced, counted, with a limit for slow calls, kept in memory, and in a file.

The limit is one that no call passes.

Rounds alternate, and each begins in turn. Figures are CPU time of one call: the median and the least of the rounds, and
what is added to counting. The drain runs beside on another CPU, if there is one; its time is not the target's.

    python -m benchmarks.records [--rounds 15] [--folder /tmp]
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
from pathlib import Path

from benchmarks import tracers, workloads
from benchmarks.workloads import Running, Workload
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer

VARIANTS = ("untraced", "counted", "limited", "flight", "recorded")
LOOPS = (("getppid", "300000"), ("openat", "200000"), ("fstat", "200000"), ("stat", "200000"), ("recv", "200000"))
"""Each with its number of calls: without pointers, with a path, a structure, both; and with pointers that are NULL."""
LIMIT = AttachOptions(slower_ns=1000 * 10**9)


async def measure(chosen: list[Workload], rounds: int, folder: Path) -> dict[tuple[str, str], list[float]]:
    """The CPU time of every run, by workload and variant."""
    found = defaultdict(list)
    tracer = EbpfTracer(ready=True)
    for turn in range(rounds):
        for workload in chosen:
            first = turn % len(VARIANTS)
            for name in VARIANTS[first:] + VARIANTS[:first]:
                running = Running(workload.full)
                async with contextlib.AsyncExitStack() as stack:
                    if name == "counted":
                        await stack.enter_async_context(tracers.straced(tracer, running.pid))
                    elif name == "limited":
                        await stack.enter_async_context(tracers.straced(tracer, running.pid, LIMIT))
                    elif name == "flight":
                        await stack.enter_async_context(tracers.kept(running.pid))
                    elif name == "recorded":
                        await stack.enter_async_context(tracers.recorded(running.pid, folder))
                    figures = await asyncio.to_thread(running.measure, workload.unit)
                found[workload.name, name].append(figures[1])
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    await tracer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the records go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        workloads.build(Path(name))
        loops = str(Path(name) / "loops")
        chosen = [Workload(each, "ns/call", (loops, each, count), ()) for each, count in LOOPS]
        found = asyncio.run(measure(chosen, arguments.rounds, arguments.folder))
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds"
    )
    for workload in chosen:
        counted = found[workload.name, "counted"]
        for variant in VARIANTS:
            figures = found[workload.name, variant]
            added = statistics.median(figures) - statistics.median(counted), min(figures) - min(counted)
            print(
                f"{workload.name:<8} {variant:<9} {statistics.median(figures):>6,.0f} least {min(figures):>6,.0f} ns"
                f"  over counted {added[0]:>+6,.0f} {added[1]:>+6,.0f} ns"
                f"  x{statistics.median(figures) / statistics.median(counted):.2f} x{min(figures) / min(counted):.2f}"
            )


if __name__ == "__main__":
    main()
