"""A tracer that is not ours: bare strace, as somebody else would run it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import proc
from tests.support.poll import until


@contextmanager
def rival_strace(pid: int, output: Path | str = "/dev/null") -> Iterator[subprocess.Popen[bytes]]:
    """``strace -f -c`` on a process, attached to all its threads before the block begins."""
    process = subprocess.Popen(["strace", "-f", "-c", "-o", str(output), "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: proc.tracer(pid) == process.pid, what="strace attaches")
        until(lambda: all(task.tracer for task in proc.tasks(pid).values()), what="it attaches to all threads")
        yield process
    finally:
        process.send_signal(2)
        process.wait(10)
