"""What a call costs in this checkout and in another one, side by side in one run.

Each version runs from its own sources, in a process of its own, with its own eBPF object. Rounds alternate, and each
begins in turn, so that the noise of the machine hits both alike. Figures are CPU time of the workload; a median and the
least of the rounds, and their ratios to those of the other checkout. The exit status is 1 if a ratio of the getppid
loop is above the most that is asked for.

    git worktree add /tmp/before 77d29b3 && python -m benchmarks.versions /tmp/before [--rounds 21] [--most 1.05]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks import workloads
from benchmarks.workloads import Running, Workload

HERE = Path(__file__).parent.parent
HOLDER = """
import asyncio, json, sys
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
try:
    from straced.linux import procfs
except ImportError:  # where it was before
    from straced import procfs

async def main():
    tracer = EbpfTracer(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        session = await tracer.attach(procfs.target(int(line)), AttachOptions())
        print("attached", flush=True)
        sys.stdin.readline()
        print((await session.detach()).kind, flush=True)
    await tracer.close()

asyncio.run(main())
"""
"""Attaches to each pid that it is told, until the next line."""
VARIANTS: dict[str, dict[str, bool]] = {
    "before": {},
    "now": {"unpreempted": False},
    "now, set for 7.x": {"unpreempted": True},
}
"""What is compared, with the options of its tracer: by the usual programs, and by those for preemptible kernels."""
BARE = "untraced"
ASKED = "getppid"


class Holder:
    """A version that counts whom it is told to."""

    def __init__(self, checkout: Path, options: dict[str, bool]) -> None:
        environ = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        words = [sys.executable, "-c", HOLDER, json.dumps(options)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)

    def ask(self, word: object) -> str:
        """Say a line to it, and hear one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(word, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    @contextlib.contextmanager
    def counting(self, pid: int) -> Iterator[None]:
        """While it counts a process; checks that nothing was lost."""
        if self.ask(pid) != "attached":
            raise RuntimeError("it did not attach")
        yield
        if (kind := self.ask("")) != "exact":
            raise RuntimeError(f"not all was counted: {kind}")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(chosen: list[Workload], holders: dict[str, Holder], rounds: int) -> dict[tuple[str, str], list[float]]:
    """The CPU time of every run, by workload and variant."""
    found = defaultdict(list)
    names = [BARE, *holders]
    for turn in range(rounds):
        for workload in chosen:
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                running = Running(workload.full)
                with holders[name].counting(running.pid) if name in holders else contextlib.nullcontext():
                    found[workload.name, name].append(running.measure(workload.unit)[1])
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--most", type=float, default=1.05)
    parser.add_argument("--only", default="getppid,pingpong,reader4,find,python")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="straced-benchmark-") as name:
        workloads.build(Path(name))
        every = workloads.all_of(Path(name), "/usr", "/usr/include")
        chosen = [workload for workload in every if workload.name in arguments.only.split(",")]
        checkouts = {variant: arguments.before if variant == "before" else HERE for variant in VARIANTS}
        holders = {variant: Holder(checkouts[variant], options) for variant, options in VARIANTS.items()}
        try:
            found = measure(chosen, holders, arguments.rounds)
        finally:
            for each in holders.values():
                each.close()
    print(
        f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds"
    )
    print(f"{'workload':<9} {'':<17} {'median':>9} {'least':>9} {'unit':<8} {'by before':>17}")
    kept = True
    for workload in chosen:
        middle, least = (_by(found, workload, how) for how in (statistics.median, min))
        for each in (BARE, *VARIANTS):
            ratios = middle[each] / middle["before"], least[each] / least["before"]
            kept &= (workload.name, each) != (ASKED, "now") or max(ratios) <= arguments.most
            print(
                f"{workload.name:<9} {each:<17} {middle[each]:>9,.1f} {least[each]:>9,.1f} {workload.unit:<8} "
                f"x{ratios[0]:.3f}   x{ratios[1]:.3f}"
            )
    return 0 if kept else 1


def _by(found: dict[tuple[str, str], list[float]], workload: Workload, how: object) -> dict[str, float]:
    assert callable(how)
    return {name: how(figures) for (of, name), figures in found.items() if of == workload.name}


if __name__ == "__main__":
    raise SystemExit(main())
