"""Makes counters of the counts of a reading, by one rule: a restarted call is counted once, and is no error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from straced.model import histogram
from straced.model.aggregation import merge_rows
from straced.model.types import Counters
from straced.syscalls import number_of
from straced.traces.analysis.log_abi import UNKNOWN_ABI, AbiOfTasks
from straced.traces.analysis.reader import TraceReading
from straced.traces.analysis.tally import NO_ERRNO, TallyRow
from straced.traces.parsing.resumed_sums import ResumedRow


class CallSums:
    """The rows of tasks, with restarts resolved: a restart_syscall is a part of the call that it went on with."""

    def __init__(self, reading: TraceReading) -> None:
        self._reading = reading
        self._timed = reading.form.durations
        self._waiting = reading.tells_waiting
        self._restarts: dict[tuple[int, str], int] = {}
        self._eintr: dict[tuple[int, str], int] = {}
        for (tid, name, what), count in reading.restarts.decided.items():
            table = self._eintr if what == "eintr" else self._restarts
            table[tid, name] = table.get((tid, name), 0) + count
        self._resumed = reading.restarts.resumed.rows
        self._taken: dict[int, tuple[int, int, Counter[str]]] = {}
        for (tid, _), gained in self._resumed.items():
            calls, ns, errno = self._taken.get(tid, (0, 0, Counter()))
            self._taken[tid] = calls + gained.calls, ns + gained.ns, errno + gained.errno
        self._abi = AbiOfTasks(reading)

    def all(self) -> Iterator[tuple[int, Counters]]:
        """Each row of each task: its TID, and its counters."""
        rows = self._reading.figures.rows
        for (tid, name), row in rows.items():
            yield tid, self._counters(tid, name, row)
        for tid, name in self._resumed.keys() - rows.keys():
            if tid >= 0:
                yield tid, self._counters(tid, name, TallyRow())

    def _counters(self, tid: int, name: str, row: TallyRow) -> Counters:
        """One row of a task as counters."""
        again = self._restarts.get((tid, name), 0)
        errno = {
            code: count
            for code, count in (row.errno or {}).items()
            if not code.startswith("ERESTART") and name not in NO_ERRNO
        }
        if extra := self._eintr.get((tid, name)):
            errno["EINTR"] = errno.get("EINTR", 0) + extra
        calls, ns, shortest, longest = row.calls - again, row.sum_ns, row.min_ns, row.max_ns
        if (gained := self._resumed.get((tid, name))) is not None:
            calls += gained.calls
            ns += gained.ns
            for code, count in gained.errno.items():
                errno[code] = errno.get(code, 0) + count
            longest = max((each for each in (longest, gained.max_ns) if each is not None), default=None)
            shortest = _shortest(row, gained)
        if name == "restart_syscall" and tid in self._taken:
            taken, taken_ns, codes = self._taken[tid]
            calls, ns = calls - taken, ns - taken_ns
            errno = {code: left for code, count in errno.items() if (left := count - codes[code]) > 0}
            shortest = longest = None  # perhaps those of a piece of another call
            ns = ns if calls > 0 else 0
        abi = self._abi.of(tid)
        waiting = row.waiting_ns if self._waiting and gained is None and name != "restart_syscall" else None
        return Counters(
            name=name,
            nr=None if abi is None else number_of(name, abi),
            abi=abi or UNKNOWN_ABI,
            calls=max(0, calls),
            errors=sum(errno.values()),
            restarts=again,
            errno=errno,
            wall_ns=ns if self._timed else None,
            working_ns=None if waiting is None else ns - waiting,
            waiting_ns=waiting,
            min_ns=shortest,
            max_ns=longest,
        )


def _shortest(row: TallyRow, gained: ResumedRow) -> int | None:
    """The shortest call, when pieces of calls stand in the row; ``None``: that one cannot be told from a piece."""
    if row.timed <= gained.removed or row.min_ns is None:
        return gained.min_ns
    if row.min_ns == gained.removed_min_ns:
        return None
    return row.min_ns if gained.min_ns is None else min(row.min_ns, gained.min_ns)


def counters(reading: TraceReading) -> list[Counters]:
    """One row for each call of each ABI, over all tasks."""
    figures = reading.figures
    merged: dict[tuple[str, str], list[Counters]] = {}
    for _, one in CallSums(reading).all():
        merged.setdefault((one.abi, one.name), []).append(one)
    flight = in_flight(reading)
    moved = reading.restarts.resumed.buckets
    result = []
    for (_, name), rows in merged.items():
        (merged_row,) = merge_rows(rows)
        alone = sum(1 for _, other in merged if other == name) == 1
        counts = [0] * histogram.SIZE
        for place, count in (*figures.histograms.get(name, {}).items(), *moved.get(name, {}).items()):
            counts[place] += count
        result.append(
            msgspec.structs.replace(
                merged_row,
                histogram=tuple(max(0, count) for count in counts) if alone and reading.form.durations else None,
                in_flight=None if flight is None else flight.get(name, 0) if alone else None,
            )
        )
    return result


def in_flight(reading: TraceReading) -> dict[str, int] | None:
    """How many calls of each name did not return; ``None`` without the ordered pass."""
    if reading.state is None:
        return None
    flight: Counter[str] = Counter()
    waiting = dict(reading.waiting)
    for tid, head, _, _ in reading.state.tasks.in_calls():
        name = head.rstrip(b"(").removeprefix(b"<... ").decode("ascii", "replace")
        if name == "restart_syscall":
            name = next((other for task, other in waiting if task == tid), name)
        waiting.pop((tid, name), None)
        flight[name] += 1
    for (_, name), count in waiting.items():
        flight[name] += count
    return dict(flight)
