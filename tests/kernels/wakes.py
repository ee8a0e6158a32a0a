"""Who woke a task the last time, and whether that was an interrupt: told by the stack, which each kernel lays out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from straced.tracers.ebpf.wakes import LastWake, WakeWatch
from tests.kernels.checks import LONG_S, check
from tests.support.poll import until

_PINNED = "import os, select, sys, time; fd = int(sys.argv[1]); os.sched_setaffinity(0, [0])\n"
_READS = "while True: os.read(fd, 1)"
_WRITES = "while True: os.write(fd, b'x'); time.sleep(0.02)"
_FILLS = "os.set_blocking(fd, False)\nwhile True:\n try: os.write(fd, b'x')\n except BlockingIOError: pass"
_POLLS_FOR_ITS_END = "p = select.poll(); p.register(fd, 0)\nwhile True: p.poll(1)"


@check
def wakes(refused: str) -> str:
    """A writer that wakes a reader is told from a timer that comes while a writer is in its call."""
    if refused:
        return f"eBPF cannot serve: {refused}"
    with _pair(_READS, _WRITES) as (reader, writer):
        written = _woken(reader)
        assert (written.pid, written.call, written.interrupted) == (writer, "write", False), written
    with _pair(_POLLS_FOR_ITS_END, _FILLS) as (poller, writer):
        timed = _woken(poller)
        assert (timed.pid, timed.call, timed.interrupted) == (writer, "write", True), timed
    return "a write, and an interrupt beside one"


def _woken(tid: int) -> LastWake:
    """The last wake out of a call, once there is one."""
    watch = WakeWatch([tid])
    try:
        until(lambda: tid in watch.read(), LONG_S, pause_s=0.05)
        return watch.read()[tid]
    finally:
        watch.close()


@contextmanager
def _pair(reads: str, writes: str) -> Iterator[tuple[int, int]]:
    """Two programs with the ends of a pipe, on one CPU; (the one with the read end, the other)."""
    ends = os.pipe()
    started = []
    try:
        for fd, code in zip(ends, (reads, writes), strict=True):
            command = [sys.executable, "-I", "-S", "-c", _PINNED + code, str(fd)]
            started.append(subprocess.Popen(command, pass_fds=[fd], stderr=subprocess.DEVNULL))
        yield started[0].pid, started[1].pid
    finally:
        for fd in ends:
            os.close(fd)
        for each in started:
            each.kill()
            each.wait()
