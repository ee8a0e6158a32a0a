"""Reads the facts of processes from /proc, cheaply: a stat and a count of descriptors each time, the rest now and then.

CPU shares come from two readings of the same process, keyed by pid *and* start time, so that a reused pid never
gets the difference of two strangers.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable

from straced.linux import procfs
from straced.model.facts import ProcessFacts
from straced.text.sanitize import scrub_bytes

SLOW_S = 30.0
"""How often command line, user, limits and context switches are read again; a process each has its own moment."""
_SPREAD = 16
MAX_COUNTED_THREADS = 64
"""Context switches are a sum over threads; with more than this they are left unknown."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STAT_BYTES = 2048
COMM_CHARS = 64
"""15 bytes at most, but each may become an escape."""
_NS_PER_TICK = 10**9 // TICKS_PER_S


class _Slow:
    """What changes seldom, and when it was last read."""

    __slots__ = ("cmdline", "comm", "due_ns", "exe", "fd_limit", "involuntary", "raw_comm", "uid", "voluntary")

    def __init__(self) -> None:
        self.due_ns = 0
        self.raw_comm = b""
        self.comm = ""
        self.exe: str | None = None
        self.cmdline: tuple[str, ...] = ()
        self.uid: int | None = None
        self.fd_limit: int | None = None
        self.voluntary: int | None = None
        self.involuntary: int | None = None


class _KnownProcess:
    """A process seen before."""

    __slots__ = ("at_ns", "cpu_ns", "fd", "numbers", "shown", "slow", "start_ticks", "start_time", "text")

    def __init__(self, start_ticks: int) -> None:
        self.start_ticks = start_ticks
        self.start_time = round(procfs.boot_time() + start_ticks / TICKS_PER_S, 2)
        self.fd = -1
        """Its stat file, kept open: read without looking the process up again, and never another's of the same pid."""
        self.at_ns: int | None = None
        self.cpu_ns = 0
        self.text = b""
        self.numbers: tuple[int, str, int, int, int, int] = (0, "?", 0, 0, 0, 0)
        self.shown: tuple[int, int] | None = None
        self.slow = _Slow()

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


class ProcessCollector:
    """Facts of processes, and the difference to the reading before.

    Args:
        clock_ns: a monotonic clock.
        root: where /proc is.
        slow_s: how often the slow facts are read.
    """

    def __init__(
        self, clock_ns: Callable[[], int] = time.monotonic_ns, root: str = procfs.ROOT, slow_s: float = SLOW_S
    ) -> None:
        self._clock_ns = clock_ns
        self._root = root
        self._slow_ns = int(slow_s * 10**9)
        self._known: dict[int, _KnownProcess] = {}
        self._kept = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 if root == procfs.ROOT else 0

    def read(
        self, pid: int, start_ticks: int | None = None, labels: dict[str, str] | None = None
    ) -> ProcessFacts | None:
        """Facts of one process now; ``None`` when it is gone, or is not the one that started at ``start_ticks``."""
        try:
            return self._read(pid, start_ticks, labels or {})
        except (procfs.Gone, PermissionError):
            self.forget(pid)
            return None

    def read_all(self, pids: Iterable[int]) -> dict[int, ProcessFacts]:
        """Facts of several processes by pid, the gone ones left out. All others are forgotten."""
        found = {}
        for pid in pids:
            facts = self.read(pid)
            if facts is not None:
                found[pid] = facts
        for pid in self._known.keys() - found.keys():
            del self._known[pid]
        return found

    def close(self) -> None:
        """Forget all."""
        self._known.clear()

    def forget(self, pid: int) -> None:
        """Drop what is remembered of a process."""
        self._known.pop(pid, None)

    def doubt(self, pid: int) -> None:
        """Read all of a process the next time: it runs another program than was read."""
        if (known := self._known.get(pid)) is not None:
            known.slow.due_ns = 0

    def shown_owner(self, pid: int) -> tuple[int, int] | None:
        """User and group that own its files in /proc, as of the last reading; ``None`` when they could not be seen."""
        known = self._known.get(pid)
        return known.shown if known is not None else None

    def _read(self, pid: int, start_ticks: int | None, labels: dict[str, str]) -> ProcessFacts | None:
        known = self._known.get(pid)
        if known is not None and known.fd >= 0:
            try:
                data = os.pread(known.fd, STAT_BYTES, 0)
            except ProcessLookupError:  # it has ended; the pid may be another's by now
                self.forget(pid)
                return self._read(pid, start_ticks, labels)
        else:
            data = procfs.read_small(f"{pid}/stat", self._root)
        now_ns = self._clock_ns()
        if known is None or known.text != data:
            known = self._parse(pid, data)
        elif known.fd < 0 and len(self._known) <= self._kept:
            known.fd = self._keep(pid, known.start_ticks)
        started = known.start_ticks
        if start_ticks is not None and started != start_ticks:
            raise procfs.Gone(str(pid))
        ppid, state, cpu_ns, rss_bytes, vms_bytes, threads = known.numbers
        cpu_pct = cpu_delta_ns = None
        if known.at_ns is not None and now_ns > known.at_ns:
            cpu_delta_ns = max(0, cpu_ns - known.cpu_ns)
            cpu_pct = 100.0 * cpu_delta_ns / (now_ns - known.at_ns)
        known.at_ns, known.cpu_ns = now_ns, cpu_ns
        slow = known.slow
        if now_ns >= slow.due_ns:
            early = self._slow_ns * (pid % _SPREAD) // (2 * _SPREAD)  # so that not all are due at one tick
            self._read_slow(pid, known, data[data.find(b"(") + 1 : data.rfind(b")")], threads)
            whole = bool(slow.cmdline)  # in the middle of an execve the name is new, and the words are not there yet
            slow.due_ns = now_ns + self._slow_ns - early if whole else 0
        return ProcessFacts(
            pid=pid,
            start_ticks=started,
            ppid=ppid,
            uid=slow.uid,
            comm=slow.comm,
            exe=slow.exe,
            cmdline=slow.cmdline,
            state=state,
            cpu_pct=cpu_pct,
            cpu_ns=cpu_ns,
            cpu_delta_ns=cpu_delta_ns,
            rss_bytes=rss_bytes,
            vms_bytes=vms_bytes,
            threads=threads,
            fds=self._descriptors(pid, known),
            fd_limit=slow.fd_limit,
            voluntary_switches=slow.voluntary,
            involuntary_switches=slow.involuntary,
            start_time=known.start_time,
            age_s=max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started / TICKS_PER_S),
            labels=labels,
        )

    def _parse(self, pid: int, data: bytes) -> _KnownProcess:
        """Take in a text that differs from the last one: an idle process's is the same, byte by byte."""
        end = data.rfind(b")")  # a comm may hold anything
        fields = data[end + 2 :].split(None, 22)
        if len(fields) < 22:
            raise procfs.Gone(str(pid))
        started = int(fields[19])
        known = self._known.get(pid)
        if known is None or known.start_ticks != started:
            known = self._known[pid] = _KnownProcess(started)
        elif data[data.find(b"(") + 1 : end] != known.slow.raw_comm:
            known.slow.due_ns = 0  # an exec, as a rule
        known.text = data
        known.numbers = (
            int(fields[1]),
            fields[0].decode("ascii", "replace"),
            (int(fields[11]) + int(fields[12])) * _NS_PER_TICK,
            int(fields[21]) * PAGE_BYTES,
            int(fields[20]),
            int(fields[17]),
        )
        return known

    def _keep(self, pid: int, started: int) -> int:
        """Its stat file, opened for good, from the second reading on; -1 when it is another's, or none can be had."""
        try:
            fd = os.open(f"{self._root}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1
        try:
            data = os.read(fd, STAT_BYTES)
        except OSError:  # it has ended since it was opened
            data = b""
        fields = data[data.rfind(b")") + 2 :].split(None, 20)
        if len(fields) < 20 or int(fields[19]) != started:
            os.close(fd)
            return -1
        return fd

    def _descriptors(self, pid: int, known: _KnownProcess) -> int | None:
        """The size of the directory is their number since Linux 6.2; 0 there means that it has to be listed."""
        path = f"{self._root}/{pid}/fd"
        try:
            found = os.stat(path)
            known.shown = found.st_uid, found.st_gid  # the directory above it always shows the effective user
            return found.st_size or len(os.listdir(path))
        except OSError:
            known.shown = None
            return None

    def _read_slow(self, pid: int, known: _KnownProcess, raw_comm: bytes, threads: int) -> None:
        slow = known.slow
        if raw_comm != slow.raw_comm:
            slow.raw_comm, slow.comm = raw_comm, sys.intern(scrub_bytes(raw_comm, COMM_CHARS))
        exe = procfs.exe(pid, self._root)
        slow.exe = None if exe is None else sys.intern(exe)  # a thousand processes run a few programs
        slow.uid = slow.fd_limit = slow.voluntary = slow.involuntary = None
        with contextlib.suppress(procfs.Gone, OSError):
            slow.cmdline = procfs.cmdline(pid, self._root)
        try:
            slow.uid, switches = self._status(pid)
        except (procfs.Gone, OSError):
            with contextlib.suppress(OSError):
                slow.uid = os.stat(f"{self._root}/{pid}").st_uid
        else:
            with contextlib.suppress(procfs.Gone, OSError):
                if 1 < threads <= MAX_COUNTED_THREADS:
                    switches = self._switches_of_threads(pid)
                if threads <= MAX_COUNTED_THREADS:
                    slow.voluntary, slow.involuntary = switches
        with contextlib.suppress(procfs.Gone, OSError):
            slow.fd_limit = _soft_limit(procfs.read_small(f"{pid}/limits", self._root))
        if not self._is_still(pid, known):
            raise procfs.Gone(str(pid))  # reused while it was read

    def _is_still(self, pid: int, known: _KnownProcess) -> bool:
        """Whether a pid has been that of this process all the time."""
        if known.fd < 0:
            return procfs.started(procfs.read_small(f"{pid}/stat", self._root)) == known.start_ticks
        try:
            return bool(os.pread(known.fd, 1, 0))
        except ProcessLookupError:
            return False

    def _status(self, pid: int | str) -> tuple[int, tuple[int, int]]:
        lines = procfs.read(f"{pid}/status", self._root, limit=procfs.STATUS_LIMIT)
        return int(_line(lines, b"\nUid:").split()[0]), _switches(lines)

    def _switches_of_threads(self, pid: int) -> tuple[int, int]:
        voluntary = involuntary = 0
        for tid in procfs.tasks(pid, self._root):
            with contextlib.suppress(procfs.Gone):
                one = _switches(procfs.read(f"{pid}/task/{tid}/status", self._root, limit=procfs.STATUS_LIMIT))
                voluntary, involuntary = voluntary + one[0], involuntary + one[1]
        return voluntary, involuntary


def _line(text: bytes, key: bytes) -> bytes:
    start = text.find(key)
    if start < 0:
        raise procfs.Gone("status")
    start += len(key)
    return text[start : text.find(b"\n", start)]


def _switches(status: bytes) -> tuple[int, int]:
    return int(_line(status, b"\nvoluntary_ctxt_switches:")), int(_line(status, b"\nnonvoluntary_ctxt_switches:"))


def _soft_limit(limits: bytes) -> int | None:
    for line in limits.splitlines():
        if line.startswith(b"Max open files"):
            word = line[len(b"Max open files") :].split()[0]
            return None if word == b"unlimited" else int(word)
    return None
