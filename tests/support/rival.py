"""A tracer that is not ours: bare strace, as somebody else would run it, or the parent of the target itself."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import proc
from tests.support.poll import until

_PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000


@contextmanager
def rival_strace(pid: int, output: Path | str = "/dev/null") -> Iterator[subprocess.Popen[bytes]]:
    """``strace -f -c`` on a process, attached to all its threads before the block begins."""
    process = subprocess.Popen(["strace", "-f", "-c", "-o", str(output), "-p", str(pid)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: proc.tracer(pid) == process.pid and proc.held(pid), 20, "strace attaches to all threads")
        yield process
    finally:
        process.send_signal(2)
        process.wait(10)


class TracingParent:
    """This thread of this process as the tracer of one thread of a child, which runs on meanwhile."""

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ptrace(_PTRACE_SEIZE)

    def let_go(self) -> None:
        """Trace it no more."""
        self._ptrace(_PTRACE_INTERRUPT)
        os.waitpid(self.tid, _WALL)
        self._ptrace(_PTRACE_DETACH)

    def _ptrace(self, request: int) -> None:
        if self._libc.ptrace(request, self.tid, None, None) < 0:
            raise OSError(number := ctypes.get_errno(), os.strerror(number))
