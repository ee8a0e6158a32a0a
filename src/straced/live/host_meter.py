"""The machine's CPU, memory, load and pressure, from /proc (proc(5), Documentation/accounting/psi.rst)."""

from __future__ import annotations

import os
import resource

from straced.linux import procfs
from straced.model.frame import Machine

_RESOURCES = ("cpu", "memory", "io")
_IDLE = (3, 4)
"""Fields idle and iowait of the line ``cpu`` in /proc/stat."""
_COUNTED = 8
"""user to steal; guest time is in user already."""


class MachineMeter:
    """Reads the machine; CPU use is what happened since the reading before."""

    def __init__(self, root: str = procfs.ROOT) -> None:
        self._root = root
        self._before: tuple[int, int] | None = None

    def read(self) -> Machine:
        """The machine now; the first reading has no CPU use."""
        total_bytes, used_bytes = self._memory()
        return Machine(
            cpus=os.cpu_count() or 1,
            cpu_pct=self._cpu_pct(),
            memory_bytes=total_bytes,
            memory_used_bytes=used_bytes,
            load=self._load(),
            pressure=self._pressure(),
        )

    def _text(self, path: str) -> str | None:
        try:
            return procfs.read(path, self._root).decode("ascii", "replace")
        except (procfs.Gone, OSError):
            return None

    def _cpu_pct(self) -> float | None:
        text = self._text("stat")
        if text is None or not text.startswith("cpu "):
            return None
        ticks = [int(word) for word in text.split("\n", 1)[0].split()[1 : 1 + _COUNTED]]
        now = sum(ticks), sum(ticks[field] for field in _IDLE)
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return None
        share = 1 - (now[1] - before[1]) / (now[0] - before[0])
        return 100 * min(max(share, 0.0), 1.0)  # iowait may run backwards (proc(5))

    def _memory(self) -> tuple[int | None, int | None]:
        fields = {}
        for line in (self._text("meminfo") or "").splitlines():
            name, _, rest = line.partition(":")
            fields[name] = rest.split()[0] if rest.split() else ""
        try:
            total, available = int(fields["MemTotal"]) * 1024, int(fields["MemAvailable"]) * 1024
        except (KeyError, ValueError):
            return None, None
        return total, total - available

    def _load(self) -> tuple[float, float, float] | None:
        words = (self._text("loadavg") or "").split()
        return (float(words[0]), float(words[1]), float(words[2])) if len(words) > 2 else None

    def _pressure(self) -> dict[str, float] | None:
        """``None`` where the kernel has no PSI, or it is switched off."""
        found = {}
        for name in _RESOURCES:
            for word in (self._text(f"pressure/{name}") or "").split("\n", 1)[0].split():
                if word.startswith("avg10="):
                    found[name] = float(word[6:])
        return found or None


class OwnCostMeter:
    """What this process takes."""

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None

    def read(self, now_ns: int) -> float | None:
        """Percent of one CPU since the reading before; ``None`` for the first."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now = usage.ru_utime + usage.ru_stime, now_ns
        before, self._before = self._before, now
        return None if before is None or now_ns <= before[1] else 1e11 * (now[0] - before[0]) / (now_ns - before[1])
