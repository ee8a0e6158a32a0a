"""From cumulative counters to rates of each process: a pure function of two readings.

A call that waits counts its time when it returns. So that an idle process does not show 0 % and then 3,000 %, a row in
which nothing returned, but calls are in flight, stood in these calls for the whole window; and no share exceeds what
the threads of a process had.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from straced.model.counter_rows import CounterRows, rows_of
from straced.model.deltas import Moves, ProcessDelta
from straced.model.types import Counters, Sample

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


class TaskCounts(Struct, frozen=True):
    """What is known of a process besides its counters."""

    threads: int
    cpu_pct: float | None
    in_call: bool
    """Its main thread is in a call now."""


class CounterReading(Struct, frozen=True):
    """The rows of all sessions at one moment."""

    monotonic_ns: int
    rows: dict[int, Sequence[Counters]]
    """By session."""
    sessions: dict[int, int]
    """Which session a process is in, of those that have made a call."""
    ended: dict[int, Totals]
    """Calls and errors of sessions that have ended since the reading before."""

    def of_process(self, pid: int) -> CounterRows:
        """The rows of one process."""
        return rows_of(self.rows.get(self.sessions.get(pid, -1), ())).of(pid)

    def without(self, pids: Collection[int]) -> CounterReading:
        """This reading less some processes: their pids are in use by others now."""
        if not pids:
            return self
        return CounterReading(
            self.monotonic_ns,
            {session: rows_of(rows).without(pids) for session, rows in self.rows.items()},
            self.sessions,
            self.ended,
        )


EMPTY = CounterReading(0, {}, {}, {})
Changes = dict[int, Moves]
"""What happened between two readings, by session."""


def reading(samples: Mapping[int, Sample], monotonic_ns: int) -> CounterReading:
    """Put the samples of sessions together. A process that is in two of them counts in the first only."""
    rows: dict[int, Sequence[Counters]] = {}
    sessions: dict[int, int] = {}
    for session, sample in samples.items():
        counted = rows_of(sample.rows)
        found = counted.pids()
        twice = found & sessions.keys()
        rows[session] = counted.without(twice) if twice else counted
        sessions.update(dict.fromkeys(found - twice, session))
    return CounterReading(monotonic_ns, rows, sessions, {})


def changes(before: CounterReading, after: CounterReading, tasks: Mapping[int, TaskCounts]) -> Changes:
    """What happened in the sessions that both readings have. What one that came in between counted is no whole window.

    All calls in flight matter of processes with several threads only, see :func:`_rates`.
    """
    several = {pid for pid, each in tasks.items() if each.threads > 1}
    return {
        session: rows_of(rows).moved_since(before.rows[session], several)
        for session, rows in after.rows.items()
        if session in before.rows
    }


def total_rates(before: CounterReading, after: CounterReading, changed: Changes) -> Totals:
    """Calls and errors in the window, of all sessions that both readings have; ``None`` where that is not known."""
    parts: list[Totals] = [(each.calls, each.errors) for moved in changed.values() for each in moved.values()]
    parts += ended_totals(before, after).values()
    if not changed and not parts:
        return None, None
    return known_total(calls for calls, _ in parts), known_total(errors for _, errors in parts)


def ended_totals(before: CounterReading, after: CounterReading) -> dict[int, Totals]:
    """Calls and errors in the window of the sessions that ended in it."""
    found: dict[int, Totals] = {}
    for session, (calls, errors) in after.ended.items():
        if session in before.rows:
            for each in rows_of(before.rows[session]).moved_since(()).values():
                calls, errors = _less(calls, each.calls), _less(errors, each.errors)
            found[session] = calls, errors
    return found


def known_total(values: Iterable[int | None]) -> int | None:
    """The sum, ``None`` where a part is."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _less(value: int | None, part: int | None) -> int | None:
    return None if value is None or part is None else value - part


def reborn(after: CounterReading, pids: Collection[int]) -> dict[int, ProcessDelta]:
    """What processes did whose pids belonged to others before: all that they ever did."""
    return {pid: after.of_process(pid).moved_since((), pids).get(pid, ProcessDelta()) for pid in pids}


def rates(
    window_ns: int,
    changed: Changes,
    tasks: Mapping[int, TaskCounts],
    members: Mapping[int, int],
    fresh: Mapping[int, ProcessDelta] | None = None,
) -> dict[int, Rates]:
    """The rates of each process of ``tasks`` (by pid) that is in a session that changes are known of.

    ``members`` says which session a process is in that made no call so far; ``fresh`` has those of :func:`reborn`.
    """
    if window_ns <= 0:
        return {}
    found: Moves = {pid: ProcessDelta() for pid, session in members.items() if session in changed}
    for moved in changed.values():
        found.update(moved)
    for pid, each in (fresh or {}).items():
        found[pid] = each
    return {pid: _rates(found[pid], window_ns, each) for pid, each in tasks.items() if pid in found}


def _rates(moved: ProcessDelta, window_ns: int, tasks: TaskCounts) -> Rates:
    most = 100.0 * max(1, tasks.threads)
    busy = max(math.ceil((tasks.cpu_pct or 0.0) / 100), 0 if tasks.in_call else 1)
    open_before = tasks.threads - moved.in_flight - busy if tasks.threads > 1 else 0
    waiting_ns = moved.waiting_ns
    if tasks.threads == 1 and not moved.in_flight and moved.calls == 0 and tasks.in_call:
        # one thread that made no call and is in one: in that one for the whole window
        waiting_ns = max(0, window_ns - int((tasks.cpu_pct or 0.0) / 100 * window_ns))
    elif waiting_ns is not None:
        waiting_ns += moved.standing * window_ns

    def per_second(value: int | None) -> float | None:
        return None if value is None else value * 1e9 / window_ns

    def share(*parts_ns: int | None) -> float | None:
        spent_ns = known_total(parts_ns)
        return None if spent_ns is None else min(most, max(0, spent_ns) * 100 / window_ns)

    return Rates(
        calls_s=per_second(moved.calls),
        errors_s=per_second(moved.errors),
        working_pct=share(moved.working_ns),
        waiting_pct=share(waiting_ns),
        wall_pct=share(moved.working_ns, waiting_ns),
        at_least=open_before > 0,
    )


def short_lived(changed: Changes, shown: Collection[int]) -> dict[tuple[int, str], ProcessDelta]:
    """What was done by processes that are not among those ``shown``: they ended, or began after these were listed.

    Returns:
        By session and program, so that with the rates of those shown it adds up to :func:`total_rates`. The program is
        empty where the session does not tell programs apart.
    """
    found: dict[tuple[int, str], ProcessDelta] = {}
    for session, moved in changed.items():
        for whose, each in moved.items():
            if isinstance(whose, int) and whose in shown:
                continue
            name = whose if isinstance(whose, str) else each.program
            _merge(found.setdefault((session, name or ""), ProcessDelta()), each)
    return {key: each for key, each in found.items() if each.calls != 0}


def _merge(into: ProcessDelta, part: ProcessDelta) -> None:
    into.calls, into.errors = known_total((into.calls, part.calls)), known_total((into.errors, part.errors))
    into.working_ns = known_total((into.working_ns, part.working_ns))
    into.waiting_ns = known_total((into.waiting_ns, part.waiting_ns))
    into.exits += part.exits


def began_anew(changed: Changes) -> set[int]:
    """Processes that went on with another program: what they did before belongs to that no more."""
    return {pid for moved in changed.values() for pid, each in moved.items() if each.anew and isinstance(pid, int)}


UNKNOWN = Rates(None, None, None, None, None)
"""Of a process that nothing counts, or not for a whole window yet."""
