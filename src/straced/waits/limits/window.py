"""Counters of control groups and of the host over the window: what they were at its begin, and how much was added."""

from __future__ import annotations

import time
from collections.abc import Iterable

from straced.linux.procfs import Gone
from straced.waits.facts.proc import ProcReader
from straced.waits.limits.groups import CgroupFolder, counters, groups_of, read

_COUNTED = {
    ("cpu", False): ("cpu.stat",),
    ("cpu", True): ("cpu.stat",),
    ("memory", False): ("memory.oom_control",),
    ("memory", True): ("memory.events", "memory.pressure"),
    ("pids", False): ("pids.events",),
    ("pids", True): ("pids.events",),
    ("blkio", False): ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"),
    ("blkio", True): ("io.stat", "io.pressure"),
}
"""Controller, by its name in version 1, and whether it is version 2 -> its files of counters."""
CONTROLLERS = ("cpu", "memory", "pids", "blkio")
_SINGLE = {("memory", False): ("memory.failcnt",)}
"""Files that are one number."""
_LEAST_TICKS = 5
Table = dict[str, int]


class HostWindow:
    """Reads counters when it is made, and again when it is closed. Only files are read: nobody is stopped."""

    def __init__(self, proc: ProcReader, pids: Iterable[int]) -> None:
        self._root = proc.root
        self._started_ns = time.monotonic_ns()
        self._first: dict[str, Table] = {}
        self._last: dict[str, Table] = {}
        self._faults = {pid: _major_faults(proc, pid) for pid in pids}
        self._host = self._host_counters()
        self._host_after = self._host
        self.window_ns = 1
        for pid in self._faults:
            for controller in CONTROLLERS:
                for group in groups_of(proc, pid, controller):
                    kind = (controller, group.v2)
                    for file in (*_COUNTED[kind], *_SINGLE.get(kind, ())):
                        self._note(group.path(file))

    def _note(self, path: str) -> None:
        if path not in self._first:
            self._first[path] = _table(path)

    def close(self) -> None:
        """The end of the window: all is read once more."""
        self.window_ns = max(1, time.monotonic_ns() - self._started_ns)
        self._last = {path: _table(path) for path, before in self._first.items() if before}
        self._host_after = self._host_counters()

    def added(self, group: CgroupFolder, file: str, key: str = "") -> int | None:
        """How much a counter grew; ``None`` where it cannot be read, or was not watched."""
        path = group.path(file)
        before, after = self._first.get(path, {}), self._last.get(path, {})
        return after[key] - before[key] if key in before and key in after else None

    def major_faults(self, proc: ProcReader, pid: int) -> int | None:
        """Pages that a process had to wait for, from a disk or from swap; ``None`` where it was not watched."""
        before, after = self._faults.get(pid), _major_faults(proc, pid)
        return after - before if before is not None and after is not None else None

    @property
    def pages_swapped_in(self) -> int:
        """Of the whole machine."""
        return self._host_after.get("pswpin", 0) - self._host.get("pswpin", 0)

    def busy_share(self, cpus: Iterable[int]) -> float | None:
        """The part of the window that these CPUs worked, 0 to 1; ``None`` where it was too short to say."""
        busy = total = 0
        for cpu in cpus:
            for kind in ("busy", "all"):
                key = f"{kind} {cpu}"
                grown = self._host_after.get(key, 0) - self._host.get(key, 0)
                busy, total = (busy + grown, total) if kind == "busy" else (busy, total + grown)
        return busy / total if total >= _LEAST_TICKS else None

    def _host_counters(self) -> Table:
        found = {"pswpin": counters(read(f"{self._root}/vmstat")).get("pswpin", 0)}
        for line in read(f"{self._root}/stat").splitlines():
            words = line.split()
            if words and words[0].startswith("cpu") and words[0][3:].isdecimal():
                ticks = [int(word) for word in words[1:9]]  # user to steal; guests are in user already (proc_stat(5))
                found[f"all {words[0][3:]}"] = sum(ticks)
                found[f"busy {words[0][3:]}"] = sum(ticks) - ticks[3] - ticks[4]
        return found


def _table(path: str) -> Table:
    text = read(path)
    return {"": int(text)} if text.strip().isdecimal() else counters(text)


def _major_faults(proc: ProcReader, pid: int) -> int | None:
    try:
        data = proc.read(pid, "stat") or b""
    except Gone:
        return None
    words = data[data.rfind(b")") + 2 :].split()
    return int(words[9]) if len(words) > 9 else None  # field 12 of proc_pid_stat(5): majflt
