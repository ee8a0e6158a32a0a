"""Which machine a trace is of: strace's notes, what ``straced trace`` wrote, or else the names of its calls."""

from __future__ import annotations

from straced.syscalls import ABIS, names
from straced.traces.analysis.reader import TraceReading

UNKNOWN_ABI = ""
_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}


class AbiOfTasks:
    """The ABI of each task; ``None`` where the trace does not tell."""

    def __init__(self, reading: TraceReading) -> None:
        self._noted = reading.figures.abis
        self._root = reading.root
        header = reading.comments.header
        self._machine = reading.abi or (_MACHINES.get(header.machine) if header is not None else None)
        if self._machine is None:
            self._machine = _by_names({name for tid, name in reading.figures.rows if tid not in self._noted})

    def of(self, tid: int) -> str | None:
        """The ABI of one task."""
        noted = self._noted.get(tid or self._root)
        return next(iter(noted)) if noted is not None and len(noted) == 1 else self._machine


def _by_names(seen: set[str]) -> str | None:
    """The ABI that has all these calls. All calls of arm64 are also of x86_64: those alone tell nothing."""
    known = seen & set().union(*(_names(abi) for abi in ABIS))
    fitting = [abi for abi in ABIS if known <= _names(abi)]
    if "x86_64" in fitting:
        return None if "arm64" in fitting else "x86_64"
    return fitting[0] if len(fitting) == 1 else None


def _names(abi: str) -> frozenset[str]:
    return frozenset(names(abi).values())
