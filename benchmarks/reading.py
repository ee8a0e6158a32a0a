"""What attaching and reading cost the reader: CPU time, on stdout and as JSON with ``--json FILE``.

A tree of 1,000 processes (``--processes``) of 20 different system calls each is read when nothing, a part and
everything has changed: the bytes alone (``read``), all rows turned into values, one summary of the tree. Then the same
processes are read as sessions of their own. The memory of the maps is what the kernel tells of their descriptors.

    python benchmarks/reading.py [--processes 1000] [--rounds 7] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "src")]

from straced.linux import procfs  # noqa: E402
from straced.model.types import Sample  # noqa: E402
from straced.profiling import segments  # noqa: E402
from straced.tracers.base import AttachOptions  # noqa: E402
from straced.tracers.ebpf import EbpfTracer  # noqa: E402

SHARES = (0.0, 0.01, 0.1, 1.0)
Figures = dict[str, list[float]]
T = TypeVar("T")


class Crowd:
    """Processes that make twenty different calls each time they are told to."""

    def __init__(self, program: Path, count: int) -> None:
        self.process = subprocess.Popen(
            [program, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._answered()

    def work(self, count: int) -> None:
        """Let the first ``count`` of them make their calls; returns when they have."""
        assert self.process.stdin is not None
        self.process.stdin.write(count.to_bytes(4, "little"))
        self._answered()

    def _answered(self) -> None:
        assert self.process.stdout is not None
        if self.process.stdout.read(1) != b"r":
            raise RuntimeError("the processes did not start")

    def close(self) -> None:
        """End them all."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def timed(action: Callable[[], T]) -> tuple[T, float]:
    """What an action gives, and the CPU time of this thread for it, in ms."""
    begin = time.thread_time_ns()
    given = action()
    return given, (time.thread_time_ns() - begin) / 1e6


def summary_of(sample: Sample, since: Sample) -> object:
    """Rows added up over all processes, with shares and percentiles."""
    window = segments.between(since, sample)
    return segments.rows_of.table(segments.rows_of.merge_rows(window.rows), "wall")


async def one_tree(crowd: Crowd, count: int, rounds: int) -> tuple[Figures, int]:
    """One session over all of them."""
    found: Figures = {}
    tracer = EbpfTracer()
    session = await tracer.attach(procfs.target(crowd.process.pid), AttachOptions())
    crowd.work(count)
    before = session.read_now()
    rows = len(list(before.rows))
    for share in SHARES:
        for _ in range(rounds):
            if share:
                crowd.work(round(count * share))
            gc.collect()
            sample, read_ms = timed(session.read_now)
            _, summary_ms = timed(functools.partial(summary_of, sample, before))
            _, values_ms = timed(functools.partial(list, sample.rows))
            for name, figure in (("read", read_ms), ("summary", summary_ms), ("all rows as values", values_ms)):
                found.setdefault(f"tree, {share:.0%} changed: {name}", []).append(figure)
            before = sample
    kernel_bytes = memory_of_maps()
    await tracer.close()
    found["kernel memory of the maps, MB"] = [kernel_bytes / 1e6]
    found["owners in use"] = [float(count + 2)]
    return found, rows


async def many_sessions(crowd: Crowd, count: int, rounds: int) -> Figures:
    """A session for each of them, read at once."""
    found: Figures = {}
    tracer = EbpfTracer()
    for pid in procfs.descendants(crowd.process.pid):
        await tracer.attach(procfs.target(pid), AttachOptions())
    crowd.work(count)
    tracer.read_all()
    for share in SHARES:
        for _ in range(rounds):
            if share:
                crowd.work(round(count * share))
            gc.collect()
            found.setdefault(f"sessions, {share:.0%} changed: read_all", []).append(timed(tracer.read_all)[1])
    await tracer.close()
    return found


async def attaches(crowd: Crowd, rounds: int) -> Figures:
    """The first attach of a tracer, which loads the programs, and those after it; wall time."""
    found: Figures = {"first attach": [], "further attaches": []}
    one, other = procfs.descendants(crowd.process.pid)[:2]
    for _ in range(rounds):
        tracer = EbpfTracer()
        for name, pid in (("first attach", one), ("further attaches", other)):
            target = procfs.target(pid)
            begin = time.perf_counter_ns()
            await tracer.attach(target, AttachOptions())
            found[name].append((time.perf_counter_ns() - begin) / 1e6)
        await tracer.close()
    return found


def memory_of_maps() -> int:
    """Bytes of kernel memory behind the maps that this process holds."""
    total = 0
    seen = set()
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            fields = dict(line.split(":\t") for line in Path(f"/proc/self/fdinfo/{name}").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if "map_id" in fields and fields["map_id"] not in seen:
            seen.add(fields["map_id"])
            total += int(fields["memlock"])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        program = Path(name) / "crowd"
        source = Path(__file__).parent / "workloads" / "crowd.c"
        subprocess.run(["gcc", "-O2", "-o", program, source], check=True)
        crowd = Crowd(program, arguments.processes)
        try:
            figures, rows = asyncio.run(one_tree(crowd, arguments.processes, arguments.rounds))
            figures |= asyncio.run(many_sessions(crowd, arguments.processes, arguments.rounds))
            figures |= asyncio.run(attaches(crowd, arguments.rounds))
        finally:
            crowd.close()
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    print(f"Linux {machine['kernel']}, {machine['cpus']} CPUs, load {machine['load']:.1f}; {rows} rows; ms, medians")
    for name, values in figures.items():
        print(f"{name:<48} {statistics.median(values):>8.2f}  ({min(values):.2f}..{max(values):.2f})")
    if arguments.json:
        text = {name: {"median": statistics.median(values), "all": values} for name, values in figures.items()}
        arguments.json.write_text(json.dumps({**machine, "rows": rows, "figures": text}, indent=1))


if __name__ == "__main__":
    main()
