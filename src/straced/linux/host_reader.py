"""Reads the facts of the host: CPU, memory, load, pressure, zombies, and what straced itself takes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from straced.linux import procfs
from straced.linux.process_reader import PAGE_BYTES
from straced.model.facts import GpuFacts, HostFacts, OwnCost, Pressure

HOST_BYTES = 16384


class HostCollector:
    """Facts of the host, and the difference to the reading before.

    Args:
        clock_ns: a monotonic clock.
        root: where /proc is.
        gpus: asked for the GPUs at each reading; see :mod:`straced.linux.gpu`.
    """

    def __init__(
        self,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        root: str = procfs.ROOT,
        gpus: Callable[[], tuple[GpuFacts, ...]] = tuple,
    ) -> None:
        self._clock_ns = clock_ns
        self._root = root
        self._gpus = gpus
        self._cpu: tuple[int, int] | None = None
        self._own: tuple[int, int] | None = None
        self.late_ticks = 0
        self.tick_ns: int | None = None

    def read(self, zombies: int | None = None, processes: int | None = None) -> HostFacts:
        """The host now. ``zombies`` and ``processes`` come from whoever looks at all processes; see :func:`census`."""
        memory = self._memory()
        return HostFacts(
            epoch_s=time.time(),
            monotonic_ns=self._clock_ns(),
            cpus=os.cpu_count() or 1,
            cpu_pct=self._cpu_pct(),
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
            swap_total_bytes=memory.get("SwapTotal"),
            swap_free_bytes=memory.get("SwapFree"),
            load=self._load(),
            cpu_pressure=self._pressure("cpu"),
            memory_pressure=self._pressure("memory"),
            io_pressure=self._pressure("io"),
            processes=processes,
            zombies=zombies,
            gpus=self._gpus(),
            own=self._own_cost(),
        )

    def _cpu_pct(self) -> float | None:
        """Line 1 of /proc/stat; guest time is part of user time already, iowait is idle time (proc(5))."""
        try:
            words = procfs.read_small("stat", self._root).split(b"\n", 1)[0].split()[1:9]
        except (procfs.Gone, OSError):
            return None
        ticks = [int(word) for word in words]
        idle, whole = ticks[3] + ticks[4], sum(ticks)
        before, self._cpu = self._cpu, (idle, whole)
        if before is None or whole <= before[1]:
            return None
        return min(100.0, max(0.0, 100.0 * (1 - (idle - before[0]) / (whole - before[1]))))

    def _memory(self) -> dict[str, int]:
        found = {}
        with contextlib.suppress(procfs.Gone, OSError):
            for line in procfs.read_small("meminfo", self._root, HOST_BYTES).splitlines():
                key, _, rest = line.partition(b":")
                words = rest.split()
                if words[1:] == [b"kB"]:
                    found[key.decode("ascii", "replace")] = int(words[0]) * 1024
        return found

    def _load(self) -> tuple[float, float, float] | None:
        try:
            one, five, fifteen = procfs.read_small("loadavg", self._root).split()[:3]
            return float(one), float(five), float(fifteen)
        except (procfs.Gone, OSError, ValueError):
            return None

    def _pressure(self, kind: str) -> Pressure | None:
        """``some avg10=0.22 avg60=...`` (Documentation/accounting/psi.rst); absent without CONFIG_PSI."""
        try:
            lines = procfs.read_small(f"pressure/{kind}", self._root).splitlines()
        except (procfs.Gone, OSError):
            return None
        shares = {}
        for line in lines:
            words = line.split()
            shares[words[0]] = float(words[1].partition(b"=")[2])
        return Pressure(shares[b"some"], shares.get(b"full")) if b"some" in shares else None

    def _own_cost(self) -> OwnCost:
        now_ns, cpu_ns = self._clock_ns(), time.process_time_ns()
        before, self._own = self._own, (now_ns, cpu_ns)
        pct = None
        if before is not None and now_ns > before[0]:
            pct = 100.0 * (cpu_ns - before[1]) / (now_ns - before[0])
        return OwnCost(
            cpu_pct=pct, rss_bytes=own_rss_bytes(), fds=own_fds(), tick_ns=self.tick_ns, late_ticks=self.late_ticks
        )


def own_rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read(256).split()[1]) * PAGE_BYTES


def own_fds() -> int | None:
    """Open descriptors of this process."""
    try:
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def census(root: str = procfs.ROOT) -> tuple[int, int]:
    """How many processes there are, and how many of them are zombies."""
    total = zombies = 0
    for pid in procfs.pids(root):
        with contextlib.suppress(procfs.Gone, OSError):
            data = procfs.read_small(f"{pid}/stat", root)
            total += 1
            zombies += data[data.rfind(b")") + 2 : data.rfind(b")") + 3] == b"Z"
    return total, zombies


def memory_available(root: str = procfs.ROOT) -> int | None:
    """Memory that programs can have without swapping (MemAvailable); ``None`` where the kernel does not say."""
    return HostCollector(root=root)._memory().get("MemAvailable")
