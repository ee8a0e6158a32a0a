"""What `straced why` costs: its own CPU time for 100 threads and for 1,000 processes, and the target's pace meanwhile.

python benchmarks/why.py            100 threads, 1,000 processes
python benchmarks/why.py 20 100     20 threads, 100 processes
"""

from __future__ import annotations

import mmap
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "waits"))

from why_world import World, build_roles

COMMAND = [sys.executable, "-m", "straced.commands.why"]


def measure(*arguments: str) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one run of the command, interpreter start included."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started


def pace(counter: mmap.mmap, seconds: float) -> float:
    """Steps a second of a target that counts in shared memory."""
    first, started = struct.unpack_from("Q", counter)[0], time.monotonic()
    time.sleep(seconds)
    return (struct.unpack_from("Q", counter)[0] - first) / (time.monotonic() - started)


def slowdown(world: World, rounds: int = 7) -> float:
    """The target's pace while it is asked about, against its pace while another process is: the median of pairs.

    Both rounds have the same load beside them, so what is left is what being looked at costs.
    """
    path = world.directory / "counter"
    target = world.program("counter", path)
    other = world.program("threads", 1)
    ratios = []
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096) as counter:
        for _ in range(rounds):
            paces = [_pace_while_asking(counter, pid) for pid in (other.pid, target.pid)]
            ratios.append(paces[1] / paces[0])
    return sorted(ratios)[rounds // 2]


def _pace_while_asking(counter: mmap.mmap, pid: int) -> float:
    with subprocess.Popen([*COMMAND, str(pid), "-d", "1.2s"], stdout=subprocess.DEVNULL) as asking:
        found = pace(counter, 1.0)
        asking.wait(30)
    return found


LIMIT_THREADS_S, LIMIT_ALL_S, LIMIT_PACE = 0.3, 2.0, 0.95
ROUNDS = 5


def main() -> int:
    threads, processes = (int(word) for word in [*sys.argv[1:], "100", "1000"][:2])
    kept = []

    def line(what: str, value: str, keeps: bool | None = None) -> None:
        word = "" if keeps is None else "kept" if keeps else "EXCEEDED"
        kept.append(keeps is not False)
        print(f"{what:<44} {value:<28} {word}".rstrip(), flush=True)

    with tempfile.TemporaryDirectory() as directory:
        program = build_roles(Path(directory))
        with World(Path(directory), program) as world:
            empty = min(measure("--help")[0] for _ in range(ROUNDS))
            line("why --help (interpreter and imports)", f"{empty * 1e3:.0f} ms CPU")
            target = world.program("threads", threads)
            cpu, wall = min(measure(str(target.pid)) for _ in range(ROUNDS))
            line(f"why PID, {threads} threads, -d 2s", f"{cpu * 1e3:.0f} ms CPU, {wall:.1f} s", cpu <= LIMIT_THREADS_S)
            ratio = slowdown(world)
            line("pace of a target while it is asked about", f"{ratio:.3f} of its own", ratio >= LIMIT_PACE)
            world.program("crowd", processes)
            seen = sum(name.isdigit() for name in os.listdir("/proc"))
            cpu, wall = min(measure("--all") for _ in range(ROUNDS))
            line(f"why --all, {seen} processes, -d 2s", f"{cpu * 1e3:.0f} ms CPU, {wall:.1f} s", cpu <= LIMIT_ALL_S)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
