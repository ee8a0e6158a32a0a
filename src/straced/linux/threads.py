"""The threads of one process: the call each is in, and for how long at least."""

from __future__ import annotations

import os

from msgspec import Struct

from straced.linux import procfs
from straced.linux.process_scan import parse_call
from straced.model.frame import RUNNING, Key, ThreadRow
from straced.text.sanitize import scrub_bytes

MOST = 2000
"""Threads that are looked at; a process with more shows the first."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class _Seen(Struct, frozen=True):
    """A thread in a call: as long as both stay the same, it has not left it."""

    line: bytes
    """Number, arguments, stack and instruction pointer."""
    switches: tuple[int, int]
    since_ns: int


class ThreadWatch:
    """Looks at the threads of one process again and again, and remembers since when each has been where it is."""

    def __init__(self, key: Key, abi: str | None, root: str = procfs.ROOT) -> None:
        self.key = key
        self._abi = abi
        self._root = root
        self._seen: dict[int, _Seen] = {}
        self._ticks: dict[int, int] = {}
        self._at_ns = 0

    def look(self, now_ns: int) -> tuple[tuple[ThreadRow, ...], tuple[str, ...]]:
        """The threads now, and what could not be read of them.

        Raises:
            procfs.Gone: the process has ended.
        """
        pid = self.key[0]
        rows, denied = [], False
        seen: dict[int, _Seen] = {}
        ticks: dict[int, int] = {}
        for tid in sorted(procfs.tasks(pid, self._root))[:MOST]:
            try:
                row, place, used = self._thread(f"{pid}/task/{tid}", tid, now_ns)
            except procfs.Gone:
                continue
            denied |= row.call is None
            ticks[tid] = used
            if place is not None:
                seen[tid] = place
            rows.append(row)
        self._seen, self._ticks, self._at_ns = seen, ticks, now_ns
        return tuple(rows), ("the calls of its threads: not permitted",) if denied else ()

    def _thread(self, where: str, tid: int, now_ns: int) -> tuple[ThreadRow, _Seen | None, int]:
        data = procfs.read(f"{where}/stat", self._root)
        closing = data.rfind(b")")
        fields = data[closing + 2 :].split()
        if len(fields) < 20:
            raise procfs.Gone(where)
        used = int(fields[11]) + int(fields[12])
        line = self._line(where)
        call = parse_call(line, self._abi) if line is not None else None
        place = None
        if line is not None and call != RUNNING:
            place = self._same(tid, line, self._switches(where), now_ns)
        row = ThreadRow(
            tid=tid,
            comm=scrub_bytes(data[data.find(b"(") + 1 : closing]),
            state=fields[0].decode("ascii", "replace"),
            call=call,
            for_ns=None if place is None else now_ns - place.since_ns,
            cpu_pct=self._share(tid, used, now_ns),
            place=self._place(where),
        )
        return row, place, used

    def _same(self, tid: int, line: bytes, switches: tuple[int, int], now_ns: int) -> _Seen:
        """A task that was never switched out and in between two looks has not left the call that it slept in."""
        before = self._seen.get(tid)
        if before is not None and before.line == line and before.switches == switches:
            return before
        return _Seen(line, switches, now_ns)

    def _share(self, tid: int, used: int, now_ns: int) -> float | None:
        elapsed_s = (now_ns - self._at_ns) / 1e9
        if tid not in self._ticks or elapsed_s <= 0:
            return None
        return 100 * (used - self._ticks[tid]) / _TICKS_PER_S / elapsed_s

    def _line(self, where: str) -> bytes | None:
        try:
            return procfs.read(f"{where}/syscall", self._root)
        except OSError:
            return None

    def _switches(self, where: str) -> tuple[int, int]:
        lines = procfs.status(where, self._root)
        return int(lines.get("voluntary_ctxt_switches", 0)), int(lines.get("nonvoluntary_ctxt_switches", 0))

    def _place(self, where: str) -> str | None:
        try:
            name = scrub_bytes(procfs.read(f"{where}/wchan", self._root), 64)
        except (procfs.Gone, OSError):
            return None
        return name if name not in ("", "0") else None
