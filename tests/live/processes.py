"""Real processes to look at, ended with the test."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from straced.linux import procfs
from straced.model.frame import Key

WORKLOAD = Path(__file__).with_name("workload.py")


class Worker(Struct, frozen=True, kw_only=True):
    """A workload that runs."""

    process: subprocess.Popen[str]
    port: int
    file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def key(self) -> Key:
        return self.pid, procfs.stat(self.pid).start_ticks


@contextlib.contextmanager
def workload(
    folder: Path, *, batches: int = 20, calls: int = 10, errors: int = 1, threads: int = 0, name: str | None = None
) -> Iterator[Worker]:
    """A process that makes ``batches * calls`` getppid and ``batches * errors`` failing openat a second."""
    file = folder / "open.dat"
    argv = [name or sys.executable, str(WORKLOAD), *map(str, (batches, calls, errors, threads)), str(file)]
    process = subprocess.Popen(
        argv, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        word, port = process.stdout.readline().split()
        assert word == "ready"
        yield Worker(process=process, port=int(port), file=file)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
