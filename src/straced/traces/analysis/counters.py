"""From what the passes found to counters, by the one rule for counting: a restart is no call, and no error."""

from __future__ import annotations

import msgspec

from straced.model import histogram
from straced.model.aggregation import merge_rows
from straced.model.types import Counters
from straced.syscalls import native_abi, number_of
from straced.traces.analysis.partial_counts import PartialCounts
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.tally import NO_ERRNO, TallyRow


class CallSums:
    """The rows of tasks, with restarts resolved, added up by some key."""

    def __init__(self, reading: TraceReading) -> None:
        self.restarts: dict[tuple[int, str], int] = {}
        self.eintr: dict[tuple[int, str], int] = {}
        for (tid, name, what), count in reading.restarts.decided.items():
            if what == "eintr":
                self._add(self.eintr, tid, name, count)
            else:
                self._add(self.restarts, tid, name, count)
            if what == "phantom":
                self._add(self.restarts, tid, "restart_syscall", count)

    @staticmethod
    def _add(table: dict[tuple[int, str], int], tid: int, name: str, count: int) -> None:
        table[tid, name] = table.get((tid, name), 0) + count

    def counters(self, tid: int, name: str, row: TallyRow, *, timed: bool, abi: str) -> Counters:
        """One row of a task as counters."""
        again = self.restarts.get((tid, name), 0)
        errno = {
            code: count
            for code, count in (row.errno or {}).items()
            if not code.startswith("ERESTART") and name not in NO_ERRNO
        }
        if extra := self.eintr.get((tid, name)):
            errno["EINTR"] = errno.get("EINTR", 0) + extra
        phantom = name == "restart_syscall"
        return Counters(
            name=name,
            nr=number_of(name, abi),
            abi=abi,
            calls=max(0, row.calls - again),
            errors=sum(errno.values()),
            restarts=0 if phantom else again,
            errno=errno,
            wall_ns=row.sum_ns if timed else None,
            min_ns=row.min_ns,
            max_ns=row.max_ns,
        )


def counters(reading: TraceReading) -> list[Counters]:
    """One row for each call of each ABI, over all tasks."""
    figures = reading.figures
    merged: dict[tuple[str, str], list[Counters]] = {}
    sums = CallSums(reading)
    for (tid, name), row in figures.rows.items():
        abi = abi_of(figures, tid)
        one = sums.counters(tid, name, row, timed=reading.form.durations, abi=abi)
        merged.setdefault((abi, name), []).append(one)
    flight = _in_flight(reading)
    result = []
    for (_, name), rows in merged.items():
        (merged_row,) = merge_rows(rows)
        alone = sum(1 for _, other in merged if other == name) == 1
        counts = [0] * histogram.SIZE
        for place, count in figures.histograms.get(name, {}).items():
            counts[place] += count
        result.append(
            msgspec.structs.replace(
                merged_row,
                histogram=tuple(counts) if alone and reading.form.durations else None,
                in_flight=None if flight is None else flight.get(name, 0) if alone else None,
            )
        )
    return result


def abi_of(figures: PartialCounts, tid: int) -> str:
    """The ABI of a task, as far as strace's notes tell."""
    abis = figures.abis.get(tid)
    return next(iter(abis)) if abis is not None and len(abis) == 1 else native_abi()


def _in_flight(reading: TraceReading) -> dict[str, int] | None:
    if reading.detail is None:
        return None
    flight: dict[str, int] = {}
    for _, head, _, _ in reading.detail.tasks.in_calls():
        name = head.rstrip(b"(").removeprefix(b"<... ").decode("ascii", "replace")
        flight[name] = flight.get(name, 0) + 1
    return flight
