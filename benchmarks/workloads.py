"""What is slowed down: loops that time themselves, and whole commands behind a gate."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

HERE = Path(__file__).parent


class Workload(Struct, frozen=True):
    """A workload in two sizes: the small one is for tracers that would take minutes for the other."""

    name: str
    unit: str
    """``ns/call`` for loops, ``ms`` for commands."""
    full: tuple[str, ...]
    small: tuple[str, ...]


def all_of(folder: Path, find: str, find_small: str) -> list[Workload]:
    """Every workload; ``folder`` has the compiled programs."""
    loops, gate = str(folder / "loops"), str(folder / "gate")
    command = (gate, "sh", "-c", 'exec "$@" >/dev/null', "sh")
    return [
        Workload("getppid", "ns/call", (loops, "getppid", "300000"), (loops, "getppid", "2000")),
        Workload("files", "ns/call", (loops, "files", "50000"), (loops, "files", "500")),
        Workload("pingpong", "ns/call", (loops, "pingpong", "20000"), (loops, "pingpong", "500")),
        Workload("reader4", "ns/call", (loops, "reader4", "60000"), (loops, "reader4", "500")),
        Workload("find", "ms", (*command, "find", find), (*command, "find", find_small)),
        Workload("python", "ms", *([(*command, sys.executable, "-c", "import json")] * 2)),
    ]


def build(folder: Path) -> None:
    """Compile the programs and the floor, ``empty.bpf.o``."""
    for name in ("loops", "gate", "client", "fates"):
        source = HERE / "workloads" / f"{name}.c"
        subprocess.run(["gcc", "-O2", "-o", folder / name, source, "-pthread"], check=True)
    source = HERE.parent / "bpf" / "empty.bpf.c"
    command = ["clang", "-g", "-O2", "-mcpu=v3", "-target", "bpf", "-c", source, "-o", folder / "empty.bpf.o"]
    subprocess.run(command, check=True)


class Running:
    """One run of a workload, held at its gate."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdout is not None
        if os.read(self.process.stdout.fileno(), 1) != b"r":
            raise RuntimeError(f"{argv[0]} is not ready")

    @property
    def pid(self) -> int:
        return self.process.pid

    def measure(self, unit: str) -> tuple[float, float]:
        """Let it go, and return what it took: wall time and CPU time, in the unit of the workload."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        begin = time.perf_counter()
        self.process.stdin.write(b"g")
        output = self.process.stdout.read()
        _, status, usage = os.wait4(self.pid, 0)
        took_ms = (time.perf_counter() - begin) * 1000
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.process.stdin.close()
        self.process.stdout.close()
        if unit == "ms":
            return took_ms, (usage.ru_utime + usage.ru_stime) * 1000
        wall_ns, cpu_ns = map(float, output.split())
        return wall_ns, cpu_ns
