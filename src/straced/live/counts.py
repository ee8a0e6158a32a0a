"""From cumulative counters to rates of each process: a pure function of two readings.

A call that waits counts its time when it returns. So that an idle process does not show 0 % and then 3,000 %, a row in
which nothing returned, but calls are in flight, stood in these calls for the whole window; and no share exceeds what
the threads of a process had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from straced.model import Counters, Sample

RowKey = tuple[int, str, str]
Totals = tuple[int | None, int | None]


class Rates(Struct, frozen=True):
    """What a process did in a window; shares in percent of one thread's time."""

    calls_s: float | None
    errors_s: float | None
    working_pct: float | None
    waiting_pct: float | None
    wall_pct: float | None
    at_least: bool = False
    """Some thread has stood in a call since before it was counted, so that waiting (and wall) are too low."""


class Tasks(Struct, frozen=True):
    """What is known of a process besides its counters."""

    threads: int
    cpu_pct: float | None
    in_call: bool
    """Its main thread is in a call now."""


class _Sums(Struct):
    calls: int = 0
    errors: int = 0
    working_ns: int = 0
    waiting_ns: int = 0
    in_flight: int = 0
    unknown: set[str] = set()


class Reading(Struct, frozen=True):
    """All rows of all sessions at one moment, by process, ABI and name."""

    monotonic_ns: int
    rows: dict[RowKey, Counters]
    totals: dict[int, Totals]
    """Calls and errors since its attach, by session."""
    sessions: dict[int, int]
    """Which session a process is in."""

    def of_process(self, pid: int) -> tuple[Counters, ...]:
        """The rows of one process."""
        return tuple(row for (owner, _, _), row in self.rows.items() if owner == pid)

    def without(self, pids: set[int]) -> Reading:
        """This reading less some processes: their pids are in use by others now."""
        if not pids:
            return self
        rows = {key: row for key, row in self.rows.items() if key[0] not in pids}
        return Reading(self.monotonic_ns, rows, self.totals, self.sessions)


EMPTY = Reading(0, {}, {}, {})
_NOTHING = Counters(name="", calls=0, errors=0, working_ns=0, waiting_ns=0)
"""Before a row was there."""


def reading(samples: Mapping[int, Sample], monotonic_ns: int) -> Reading:
    """Put the samples of sessions together. A process that is in two of them counts in the first only."""
    rows: dict[RowKey, Counters] = {}
    totals: dict[int, Totals] = {}
    sessions: dict[int, int] = {}
    for session, sample in samples.items():
        calls: int | None = 0
        errors: int | None = 0
        for row in sample.rows:
            if row.pid is not None:
                if sessions.setdefault(row.pid, session) != session:
                    continue
                rows[row.pid, row.abi, row.name] = row
            calls = None if calls is None or row.calls is None else calls + row.calls
            errors = None if errors is None or row.errors is None else errors + row.errors
        totals[session] = calls, errors
    return Reading(monotonic_ns, rows, totals, sessions)


def total_rates(before: Reading, after: Reading) -> Totals:
    """Calls and errors in the window, of all sessions that both readings have; ``None`` where that is not known."""
    calls: int | None = 0
    errors: int | None = 0
    shared = [session for session in after.totals if session in before.totals]
    if not shared:
        return None, None
    for session in shared:
        (old_calls, old_errors), (new_calls, new_errors) = before.totals[session], after.totals[session]
        calls = None if calls is None or old_calls is None or new_calls is None else calls + new_calls - old_calls
        errors = (
            None if errors is None or old_errors is None or new_errors is None else errors + new_errors - old_errors
        )
    return calls, errors


def rates(before: Reading, after: Reading, tasks: Mapping[int, Tasks], members: Mapping[int, int]) -> dict[int, Rates]:
    """The rates of each process of ``tasks`` (by pid) that is in a session which both readings have.

    What a session that was attached in between has counted is no whole window yet. ``members`` says which session a
    process is in that made no call so far.
    """
    window_ns = after.monotonic_ns - before.monotonic_ns
    if window_ns <= 0:
        return {}
    sums = {pid: _Sums(unknown=set()) for pid, session in members.items() if session in before.totals and pid in tasks}
    for key, row in after.rows.items():
        pid = key[0]
        mine = sums.get(pid)
        if mine is None:
            if after.sessions[pid] not in before.totals or pid not in tasks:
                continue
            mine = sums[pid] = _Sums(unknown=set())
        _add(mine, row, before.rows.get(key), window_ns)
    return {pid: _rates(mine, window_ns, tasks[pid]) for pid, mine in sums.items()}


def _add(sums: _Sums, row: Counters, old: Counters | None, window_ns: int) -> None:
    sums.in_flight += row.in_flight or 0
    if old is row or (old is not None and old.calls == row.calls and old.wall_ns == row.wall_ns):
        if row.in_flight:
            sums.waiting_ns += row.in_flight * window_ns
        return
    if old is None:
        old = _NOTHING
    # spelled out, since this is done for each call of each process on each refresh
    if row.calls is None or old.calls is None:
        sums.unknown.add("calls")
    else:
        sums.calls += row.calls - old.calls
    if row.errors is None or old.errors is None:
        sums.unknown.add("errors")
    else:
        sums.errors += row.errors - old.errors
    if row.working_ns is None or old.working_ns is None:
        sums.unknown.add("working_ns")
    else:
        sums.working_ns += row.working_ns - old.working_ns
    if row.waiting_ns is None or old.waiting_ns is None:
        sums.unknown.add("waiting_ns")
    else:
        sums.waiting_ns += row.waiting_ns - old.waiting_ns


def _rates(sums: _Sums, window_ns: int, tasks: Tasks) -> Rates:
    most = 100.0 * max(1, tasks.threads)
    busy = max(math.ceil((tasks.cpu_pct or 0.0) / 100), 0 if tasks.in_call else 1)
    open_before = tasks.threads - sums.in_flight - busy if tasks.threads > 1 else 0
    if tasks.threads == 1 and not sums.in_flight and not sums.calls and tasks.in_call:
        # one thread that made no call and is in one: in that one for the whole window
        sums.waiting_ns = max(0, window_ns - int((tasks.cpu_pct or 0.0) / 100 * window_ns))

    def per_second(name: str, value: int) -> float | None:
        return None if name in sums.unknown else value * 1e9 / window_ns

    def share(*names: str) -> float | None:
        if sums.unknown.intersection(names):
            return None
        spent_ns: int = sum(getattr(sums, name) for name in names)
        return min(most, spent_ns * 100 / window_ns)

    return Rates(
        calls_s=per_second("calls", sums.calls),
        errors_s=per_second("errors", sums.errors),
        working_pct=share("working_ns"),
        waiting_pct=share("waiting_ns"),
        wall_pct=share("working_ns", "waiting_ns"),
        at_least=open_before > 0,
    )


UNKNOWN = Rates(None, None, None, None, None)
"""Of a process that nothing counts, or not for a whole window yet."""
