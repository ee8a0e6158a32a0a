"""Reads the calls of a process out of a full trace that strace writes of it meanwhile, from within that process.

Each reading stands between two look-ups of a path that nobody else has. What the reading thread calls from the first to
the second is the reading itself, and what it called before the first reading came before the test.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from straced.errors import StracedError
from straced.model.budgets import CallCounts, counts_of
from straced.syscalls import native_abi
from straced.text.sanitize import scrub_bytes
from straced.text.units import count_of
from straced.tracers.ebpf.own_process import OwnReading, TaskKey
from straced.traces.analysis.counters import CallSums
from straced.traces.analysis.reader import read
from straced.traces.parsing.line_format import NotATrace
from straced.traces.parsing.source import open_source

STRING_BYTES = 100
"""Of a string in the trace, at least as much as a mark is long."""
SHOWN, SHOWN_CHARS = 3, 160
NEW = " (new)"
"""What stands behind the name of a call that a budget does not name."""
_CALL = re.compile(rb"\d+ +[\d.]+ (\w+)\(")
_DURATION = re.compile(rb" <[\d.]+>$")


class TraceReader:
    """Reads the trace of the calling thread's process.

    Args:
        path: of the trace; strace has begun to write it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = f"/straced/{os.urandom(8).hex()}/"
        self._me = b"%d " % os.getpid()
        self._unread = ""
        self._lines: list[bytes] = []

    def read(self) -> OwnReading:
        """The calls so far."""
        self._look_up("off")
        tasks = self._tasks()
        self._look_up("on")
        return OwnReading(tasks, 0, 0)

    def doubt(self) -> str:
        """What could not be read."""
        return self._unread

    def calls_of(self, key: str) -> list[str]:
        """The first calls of the last reading that a key of a limit names, as strace wrote them.

        Args:
            key: as of :class:`straced.model.budgets.Breach`; of ``total`` and ``errors`` there are none.
        """
        name, _, errno = key.removesuffix(NEW).rpartition(".") if "." in key else (key.removesuffix(NEW), "", "")
        if name[:1] == "E":
            name, errno = "", name
        found = []
        for line in self._lines:
            match = _CALL.match(line)
            if match and (not name or match[1] == name.encode()) and (not errno or f" {errno} ".encode() in line):
                found.append(scrub_bytes(_DURATION.sub(b"", line[match.start(1) :].rstrip()), SHOWN_CHARS))
        return found[:SHOWN]

    def _look_up(self, what: str) -> None:
        os.access(f"{self._mark}{what}", os.F_OK)

    def _tasks(self) -> dict[TaskKey, CallCounts]:
        with open(self._path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size  # and no further: each reading is traced itself, and adds a line
            trace = file.read(size)
        fd = os.memfd_create("straced-window", os.MFD_CLOEXEC)
        try:
            self._lines = counted_lines(trace, self._me, self._mark.encode())
            with open(fd, "wb", closefd=False) as lines:
                lines.write(b"".join(self._lines))
            return self._counted(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)

    def _counted(self, path: str) -> dict[TaskKey, CallCounts]:
        source = open_source(path)
        try:
            reading = read(source, jobs=1, abi=native_abi())
        except NotATrace:
            return {}  # nothing was called yet
        except (StracedError, OSError) as error:
            self._unread = f"the trace cannot be read: {error}"
            return {}
        if reading.figures.unread:
            self._unread = f"{count_of(reading.figures.unread, 'line')} of the trace cannot be read"
        tasks: dict[TaskKey, CallCounts] = {}
        for tid, row in CallSums(reading).all():
            key = reading.pid_of(tid), tid, 0
            tasks[key] = tasks.get(key, CallCounts()).plus(counts_of([row]))
        return tasks | {(pid, 0, 0): CallCounts() for pid, _, _ in tasks}


def counted_lines(trace: bytes, me: bytes, mark: bytes) -> list[bytes]:
    """The whole lines of a trace that count: of the reading thread those between an ``on`` and the next ``off``.

    Args:
        trace: as it stands in the file.
        me: what lines of the reading thread begin with.
        mark: what the paths that it looks up begin with.
    """
    on, off = b'"' + mark + b'on"', b'"' + mark + b'off"'
    kept, counting, rest_of_mark = [], False, False
    for line in trace[: trace.rfind(b"\n") + 1].splitlines(keepends=True):
        if line.startswith(me):
            if on in line or off in line:
                counting, rest_of_mark = on in line, b"<unfinished ...>" in line
                continue
            if rest_of_mark:  # another task was written in between
                rest_of_mark = False
                continue
            if not counting:
                continue
        kept.append(line)
    return kept
