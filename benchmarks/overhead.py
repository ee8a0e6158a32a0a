"""What tracing costs, side by side in one run: a table on stdout, and JSON with --json FILE.

Rounds alternate over all tracers, and each begins in turn, so that the noise of the machine hits them alike. Figures
are medians. What works inside the kernel is compared by the CPU time of the workload, which other processes of the
machine disturb less; perf and strace by wall time, since the workload waits for them. These take microseconds a call:
they get a small workload. What strace costs depends on where the scheduler puts it: ``strace -c`` is as it comes,
``strace -c apart`` has a CPU of its own, and the target another.

    python benchmarks/overhead.py [--rounds 7] [--json FILE] [--find /usr] [--only getppid,find]

perf, bpftrace and syscount need tracefs. Where it is not mounted, this mounts it for itself; where it may not, they
are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "src")]

from benchmarks import tracefs, tracers, workloads  # noqa: E402
from benchmarks.overhead_table import (  # noqa: E402
    APART,
    BARE_SMALL,
    BY_TRACEFS,
    FAST,
    FILE,
    FLIGHT,
    OURS,
    PERF,
    PERF_LINES,
    PRINTS,
    SLOW,
    STRACE_LINES,
    Results,
    summarise,
    table,
    targets,
)
from benchmarks.workloads import Running, Workload  # noqa: E402
from straced.linux import procfs  # noqa: E402
from straced.tracers.base import AttachOptions  # noqa: E402
from straced.tracers.ebpf import EbpfTracer  # noqa: E402

ONE_THREAD = ("getppid",)
"""Workloads that may be bound to a CPU without being slowed down by it."""
LINES_BY = {PRINTS: "bpftrace", PERF_LINES: "perf trace", STRACE_LINES: "strace"}


class Tracers(NamedTuple):
    """Ours, one for each set of programs."""

    usual: EbpfTracer
    perf: EbpfTracer


async def run_one(name: str, workload: Workload, ours: Tracers, folder: Path, other: int) -> tuple[float, float]:
    """One figure: a workload under a tracer."""
    async with contextlib.AsyncExitStack() as stack:
        if name == "another traced":
            await stack.enter_async_context(tracers.straced(ours.usual, other))
        running = Running(workload.small if name in SLOW else workload.full)
        if name == "empty pair":
            stack.enter_context(tracers.empty_pair(folder))
        elif name == "straced":
            await stack.enter_async_context(tracers.straced(ours.usual, running.pid))
        elif name == FLIGHT:
            await stack.enter_async_context(tracers.kept(running.pid))
        elif name == FILE:
            await stack.enter_async_context(tracers.recorded(running.pid, folder))
        elif name in (PRINTS, PERF_LINES, STRACE_LINES):
            lines = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / "calls"
            stack.enter_context(tracers.each_call(LINES_BY[name], running.pid, lines))
        elif name == PERF:
            stack.push_async_callback(asyncio.sleep, 0.6)  # what perf lets go of late is not to be another's cost
            await stack.enter_async_context(tracers.straced(ours.perf, running.pid))
        elif name == "bpftrace":
            stack.enter_context(tracers.bpftrace(running.pid))
        elif name == "syscount":
            stack.enter_context(tracers.syscount(running.pid))
        elif name == "perf trace -s":
            stack.enter_context(tracers.perf_trace(running.pid))
        elif name == APART:
            target_cpu, tracer_cpu = sorted(os.sched_getaffinity(0))[:2]
            os.sched_setaffinity(running.pid, {target_cpu})
            stack.enter_context(tracers.strace(running.pid, cpu=tracer_cpu))
        elif name.startswith("strace "):
            stack.enter_context(tracers.strace(running.pid, *(["-f"] if "-f" in name else [])))
        return await asyncio.to_thread(running.measure, workload.unit)


async def measure(arguments: argparse.Namespace, folder: Path) -> Results:
    """All rounds over all tracers and workloads."""
    workloads.build(folder)
    chosen = workloads.all_of(folder, arguments.find, arguments.find_small)
    if arguments.only:
        chosen = [workload for workload in chosen if workload.name in arguments.only.split(",")]
    names = [name for name in (*FAST, *SLOW) if name in (*OURS, BARE_SMALL) or shutil.which(name.split()[0])]
    if not tracefs.is_mounted():
        print(f"tracefs cannot be mounted here: without {', '.join(BY_TRACEFS)}", file=sys.stderr)
        names = [name for name in names if name not in BY_TRACEFS]
    results: Results = defaultdict(list)
    ours = Tracers(EbpfTracer(unpreempted=False), EbpfTracer(unpreempted=True))
    # somebody to trace while the workload is not: it makes a few calls a second
    idle = "import time\nwhile True: time.sleep(0.1)"
    other = subprocess.Popen([sys.executable, "-c", idle])  # noqa: ASYNC220
    try:
        for turn in range(arguments.rounds):
            for workload in chosen:
                Running(workload.full).measure(workload.unit)  # warms the caches of the file system for all alike
                first = turn % len(names)
                for name in names[first:] + names[:first]:
                    if name == APART and (workload.name not in ONE_THREAD or len(os.sched_getaffinity(0)) < 2):
                        continue
                    figure = await run_one(name, workload, ours, folder, other.pid)
                    results[workload.name, name].append(figure)
            print(f"round {turn + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    finally:
        other.kill()
        other.wait()
        for each in ours:
            await each.close()
    return results


async def calls_of(folder: Path, arguments: argparse.Namespace) -> dict[tuple[str, str], int]:
    """How many calls the commands make, to tell what one of them costs more."""
    tracer = EbpfTracer()
    found = {}
    for workload in workloads.all_of(folder, arguments.find, arguments.find_small):
        if workload.unit == "ms" and (not arguments.only or workload.name in arguments.only.split(",")):
            for size in ("full", "small"):
                running = Running(getattr(workload, size))
                session = await tracer.attach(procfs.target(running.pid), AttachOptions())
                running.measure("ms")
                sample = await session.detach()
                found[workload.name, size] = sum(row.calls or 0 for row in sample.rows)
    await tracer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--find", default="/usr")
    parser.add_argument("--find-small", default="/usr/include")
    parser.add_argument("--only", metavar="WORKLOADS", help="only these, separated by commas")
    arguments = parser.parse_args()
    tracefs.begin_with_it()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        results = asyncio.run(measure(arguments, Path(name)))
        calls = asyncio.run(calls_of(Path(name), arguments))
    rows = summarise(results, calls)
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(table(rows))
    print(*targets(rows), sep="\n")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"kernel": platform.release(), "cpus": os.cpu_count(), "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
