"""What tracing costs, side by side in one run: a table on stdout, and JSON with --json FILE.

Rounds alternate over all tracers, so that the noise of the machine hits them alike. Figures are medians. What works
inside the kernel is compared by the CPU time of the workload, which other processes of the machine disturb less; perf
and strace by wall time, since the workload waits for them. These take microseconds a call: they get a small workload.

    python benchmarks/overhead.py [--rounds 7] [--json FILE] [--find /usr]

perf and bpftrace need tracefs; where it is not mounted:

    unshare -m sh -c 'mount -t tracefs none /sys/kernel/tracing && python benchmarks/overhead.py'
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "src")]

from benchmarks import tracers, workloads  # noqa: E402
from benchmarks.workloads import Running, Workload  # noqa: E402
from straced import procfs  # noqa: E402
from straced.tracers.base import AttachOptions  # noqa: E402
from straced.tracers.ebpf import EbpfTracer  # noqa: E402

FAST = ("untraced", "empty pair", "straced", "another traced", "bpftrace")
SLOW = ("untraced small", "perf trace -s", "strace -c", "strace -f -c")
Results = dict[tuple[str, str], list[tuple[float, float]]]


async def run_one(name: str, workload: Workload, tracer: EbpfTracer, folder: Path, other: int) -> tuple[float, float]:
    """One figure: a workload under a tracer."""
    async with contextlib.AsyncExitStack() as stack:
        if name == "another traced":
            await stack.enter_async_context(tracers.straced(tracer, other))
        running = Running(workload.small if name in SLOW else workload.full)
        if name == "empty pair":
            stack.enter_context(tracers.empty_pair(folder))
        elif name == "straced":
            await stack.enter_async_context(tracers.straced(tracer, running.pid))
        elif name == "bpftrace":
            stack.enter_context(tracers.bpftrace(running.pid))
        elif name == "perf trace -s":
            stack.enter_context(tracers.perf_trace(running.pid))
        elif name.startswith("strace "):
            stack.enter_context(tracers.strace(running.pid, *(["-f"] if "-f" in name else [])))
        return running.measure(workload.unit)


async def measure(arguments: argparse.Namespace, folder: Path) -> Results:
    """All rounds over all tracers and workloads."""
    workloads.build(folder)
    chosen = workloads.all_of(folder, arguments.find, arguments.find_small)
    names = [name for name in (*FAST, *SLOW) if shutil.which(name.split()[0]) or name in FAST[:4] or name == SLOW[0]]
    results: Results = defaultdict(list)
    tracer = EbpfTracer()
    # somebody to trace while the workload is not: it makes a few calls a second
    idle = "import time\nwhile True: time.sleep(0.1)"
    other = subprocess.Popen([sys.executable, "-c", idle])  # noqa: ASYNC220
    try:
        for turn in range(arguments.rounds):
            for workload in chosen:
                for name in names:
                    figure = await run_one(name, workload, tracer, folder, other.pid)
                    results[workload.name, name].append(figure)
            print(f"round {turn + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    finally:
        other.kill()
        other.wait()
        await tracer.close()
    return results


async def calls_of(folder: Path, arguments: argparse.Namespace) -> dict[tuple[str, str], int]:
    """How many calls the commands make, to tell what one of them costs more."""
    tracer = EbpfTracer()
    found = {}
    for workload in workloads.all_of(folder, arguments.find, arguments.find_small):
        if workload.unit == "ms":
            for size in ("full", "small"):
                running = Running(getattr(workload, size))
                session = await tracer.attach(procfs.target(running.pid), AttachOptions())
                running.measure("ms")
                sample = await session.detach()
                found[workload.name, size] = sum(row.calls or 0 for row in sample.rows)
    await tracer.close()
    return found


def summarise(results: Results, calls: dict[tuple[str, str], int]) -> list[dict[str, object]]:
    """Medians, spreads, and ratios to the floor and to the untraced run of the same size."""

    def middle(workload: str, name: str, which: int) -> float:
        return statistics.median(figure[which] for figure in results[workload, name])

    rows = []
    for (workload, name), figures in results.items():
        small = name in SLOW
        which = 0 if small else 1
        bare = middle(workload, SLOW[0] if small else FAST[0], which)
        mine = middle(workload, name, which)
        count = calls.get((workload, "small" if small else "full"))
        rows.append(
            {
                "workload": workload,
                "tracer": name,
                "unit": "ms" if count else "ns/call",
                "wall": round(middle(workload, name, 0), 1),
                "wall_min": round(min(figure[0] for figure in figures), 1),
                "wall_max": round(max(figure[0] for figure in figures), 1),
                "cpu": round(middle(workload, name, 1), 1),
                "cpu_min": round(min(figure[1] for figure in figures), 1),
                "cpu_max": round(max(figure[1] for figure in figures), 1),
                "runs": len(figures),
                "by": "wall" if small else "cpu",
                "to_untraced": round(mine / bare, 2),
                "to_floor": None if small else round(mine / middle(workload, FAST[1], 1), 2),
                "added_ns_a_call": round((mine - bare) * (1e6 / count if count else 1)),
            }
        )
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """The figures for people."""
    lines = [
        f"{'workload':<8} {'tracer':<14} {'wall':>9} {'(min..max)':>22} {'cpu':>8} {'(min..max)':>18} {'unit':<7} "
        f"{'untraced':>8} {'floor':>6} {'added ns/call':>13} by"
    ]
    for row in rows:
        floor = "-" if row["to_floor"] is None else f"x{row['to_floor']:.2f}"
        wall_spread = f"({row['wall_min']:,.0f}..{row['wall_max']:,.0f})"
        cpu_spread = f"({row['cpu_min']:,.0f}..{row['cpu_max']:,.0f})"
        lines.append(
            f"{row['workload']:<8} {row['tracer']:<14} {row['wall']:>9,.0f} {wall_spread:>22} {row['cpu']:>8,.0f} "
            f"{cpu_spread:>18} {row['unit']:<7} {'x' + format(row['to_untraced'], ',.2f'):>8} {floor:>6} "
            f"{row['added_ns_a_call']:>13,} {row['by']}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--find", default="/usr")
    parser.add_argument("--find-small", default="/usr/include")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        results = asyncio.run(measure(arguments, Path(name)))
        calls = asyncio.run(calls_of(Path(name), arguments))
    rows = summarise(results, calls)
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"kernel": platform.release(), "cpus": os.cpu_count(), "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
