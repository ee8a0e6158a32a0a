"""A close look at the chosen process: what was counted of it, its threads, its files."""

from __future__ import annotations

import time

from msgspec import Struct

from straced.linux import descriptors as files
from straced.linux import procfs
from straced.linux.process_scan import abi_of
from straced.linux.threads import ThreadWatch
from straced.live.rates import CounterReading
from straced.model import aggregation as rows_of
from straced.model.frame import Key, ProcessDetail
from straced.model.types import Sample, SyscallStats, Total


class WindowCalls(Struct, frozen=True):
    """The calls of a process in a window; ``rows`` is ``None`` where nothing counts, or not for a whole window yet."""

    rows: tuple[SyscallStats, ...] | None = None
    total: Total = Total()
    histograms: dict[str, tuple[int, ...]] = {}
    duration_ns: int = 0


def counted(before: CounterReading, now: CounterReading, pid: int) -> WindowCalls:
    """What a process did between two readings."""
    earlier = Sample(monotonic_ns=before.monotonic_ns, epoch_s=0.0, rows=before.of_process(pid))
    later = Sample(monotonic_ns=now.monotonic_ns, epoch_s=0.0, rows=now.of_process(pid))
    changes = rows_of.difference(earlier, later)
    stats, total = rows_of.table(changes, "wall")
    histograms = {f"{row.name}@{row.abi}": row.histogram for row in changes if row.histogram is not None}
    return WindowCalls(stats, total, histograms, now.monotonic_ns - before.monotonic_ns)


class ProcessLook:
    """Looks at one process at a time, and remembers since when its threads have been where they are."""

    def __init__(self) -> None:
        self._threads: ThreadWatch | None = None

    def detail(self, key: Key, calls: WindowCalls) -> ProcessDetail:
        """All about a process of this machine, as far as it may be seen."""
        pid, start_ticks = key
        unreadable: list[str] = []
        try:
            if procfs.stat(pid).start_ticks != start_ticks:
                raise procfs.Gone(str(pid))
            if self._threads is None or self._threads.key != key:
                self._threads = ThreadWatch(key, abi_of(pid))
            threads, denied = self._threads.look(time.monotonic_ns())
            unreadable += denied
            try:
                descriptors, more = files.look(pid)
            except PermissionError:
                descriptors, more = None, 0
                unreadable.append("its files: not permitted")
        except procfs.Gone:
            return ProcessDetail(pid=pid, start_ticks=start_ticks, gone=True)
        return ProcessDetail(
            pid=pid,
            start_ticks=start_ticks,
            duration_ns=calls.duration_ns,
            calls=calls.rows,
            total=calls.total,
            histograms=calls.histograms,
            threads=threads,
            files=descriptors,
            more_files=more,
            unreadable=tuple(unreadable),
        )
