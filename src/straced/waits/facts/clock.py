"""How long ago a task last ran: ``se.exec_start`` of /proc/TID/sched against the same clock, read now.

The scheduler's clock is kept per CPU, without interrupt and stolen time, so two CPUs drift apart by as much as
they were robbed. A task is therefore compared with this thread on the CPU the task last ran on. The difference can
only be too small: it is a lower bound.
"""

from __future__ import annotations

import os
import threading

from straced.linux.procfs import Gone
from straced.waits.facts.proc import ProcReader


class SchedulerClock:
    """Reads "now" of each CPU once for a look, by moving this thread there for a moment."""

    def __init__(self, proc: ProcReader) -> None:
        self._proc = proc
        self._now_ns: dict[int, int | None] = {}

    def since_ns(self, pid: int, tid: int) -> int | None:
        """Nanoseconds since the task last ran, at least; ``None`` when the kernel does not say."""
        started = self._exec_start_ns(f"{pid}/task/{tid}")
        cpu = self._last_cpu(pid, tid)
        if not started or cpu is None:  # it is 0 until a task runs again that was moved to another CPU meanwhile
            return None
        if cpu not in self._now_ns:
            self._now_ns[cpu] = self._read_now(cpu)
        now = self._now_ns[cpu]
        return max(0, now - started) if now is not None else None

    def _exec_start_ns(self, where: str) -> int | None:
        pid, _, rest = where.partition("/")
        data = self._proc.optional(int(pid), f"{rest}/sched") if rest else None
        for line in (data or b"").split(b"\n", 8)[:8]:
            if line.startswith(b"se.exec_start"):
                return round(float(line.rpartition(b":")[2]) * 1_000_000)
        return None

    def _last_cpu(self, pid: int, tid: int) -> int | None:
        try:
            data = self._proc.read(pid, "stat", tid) or b""
        except Gone:
            return None
        words = data[data.rfind(b")") + 2 :].split()
        return int(words[36]) if len(words) > 36 else None  # field 39 of proc(5): processor

    def _read_now(self, cpu: int) -> int | None:
        allowed = os.sched_getaffinity(0)
        try:
            if cpu not in allowed:
                return None
            os.sched_setaffinity(0, {cpu})
            return self._exec_start_ns(f"{os.getpid()}/task/{threading.get_native_id()}")
        except OSError:
            return None
        finally:
            if cpu in allowed:
                os.sched_setaffinity(0, allowed)
