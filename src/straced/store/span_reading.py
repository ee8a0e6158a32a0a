"""One reading of the roll-ups of a span: sums by step and by program, what failed, and how long calls took."""

from __future__ import annotations

import errno as errno_module
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from straced.model.durations import CallDurations, together
from straced.model.history import ProgramUse
from straced.model.moment import FailingCall, MomentStep
from straced.store import latency, rollup
from straced.store.history import History
from straced.store.latency import ByName, Program
from straced.store.percentiles import Call, by_call, percentiles, working
from straced.store.rollup import MINUTE_MS, RollupBuilder

MOST = 50
"""Programs and failing calls that are named."""
MOST_FAILING_ROWS = 3000
"""Roll-ups that are unpacked to tell which calls failed: those with the most errors."""
Figures = list[int | None]
"""Calls, errors, wall time, CPU time."""


class SpanReading:
    """One reading of the roll-ups of a span."""

    def __init__(
        self,
        history: History,
        start_ms: int,
        end_ms: int,
        step: int,
        *,
        pid: int | None,
        name: str | None,
        job: str | None,
    ) -> None:
        self._history = history
        self._span = start_ms, end_ms
        self._step = step
        self._table = "minute" if step == MINUTE_MS else "hour"
        self._pid, self._name, self._job = pid, name, job
        self._where, self._values = _narrowed(history, pid, name, job)
        self.steps: dict[int, Figures] = {}
        self.programs: dict[Program, Figures] = {}
        self.durations: dict[int, dict[Program, ByName]] = {}
        self.calls: dict[Call, CallDurations] = {}
        """How long those that do not wait for work took, in all of the span."""
        self.uncounted: set[int] = set()
        self.lost: int | None = 0
        self._failed: dict[tuple[str, str, int, int | str], int] = {}

    def read(self) -> None:
        """Read all of it."""
        ask = self._history.connection.execute
        roll_ups = (
            f"from {self._table} m join series s on s.id = m.series where m.ts >= ? and m.ts < ? and {self._where}"
        )
        values = (*self._span, *self._values)
        sums = ", ".join(f"sum(m.{name})" for name in ("calls", "errors", "wall_ns", "cpu_ns"))
        for ts, job, program, *figures in ask(
            f"select m.ts, s.job, s.program, {sums} {roll_ups} group by m.ts, s.job, s.program", values
        ):
            self._add(ts, (job, program), figures)
        self.uncounted.update(
            series for (series,) in ask(f"select distinct m.series {roll_ups} and m.calls is null", values)
        )
        self._read_running()
        if self._pid is None:
            self.durations = latency.read(self._history, *self._span, job=self._job, name=self._name)
        self.calls = by_call(self.durations.values())
        self._read_failed()

    def _read_running(self) -> None:
        """The rows of the minute that is not closed yet."""
        rows = self._history.connection.execute(
            "select m.series, s.job, s.program, m.ts, m.data from sample m join series s on s.id = m.series"
            f" where m.ts >= ? and m.ts < ? and {self._where} order by m.series, m.ts",
            (*self._span, *self._values),
        )
        for (series, job, program), group in groupby(rows, key=itemgetter(0, 1, 2)):
            by_step: dict[int, RollupBuilder] = {}
            for ts, row in rollup.rows_of((ts, data) for *_who, ts, data in group):
                by_step.setdefault(ts // self._step * self._step, RollupBuilder()).add(row)
            for ts, roll in by_step.items():
                figures = [*(roll.sums.total(column) for column in range(3)), roll.cpu_ns]
                if figures[0] is None:
                    self.uncounted.add(series)
                self._add(ts, (job, program), figures)
                self.lost = None if self.lost is None or roll.sums.lost is None else self.lost + roll.sums.lost
                for (number, code), count in roll.sums.errno.items():
                    self._fail(job, program, number, code, count)

    def _add(self, ts: int, program: Program, figures: Figures) -> None:
        for sums in (self.steps.setdefault(ts, [None] * 4), self.programs.setdefault(program, [None] * 4)):
            for place, value in enumerate(figures):
                if value is not None:
                    sums[place] = (sums[place] or 0) + value

    def _read_failed(self) -> None:
        rows = self._history.connection.execute(
            f"select s.job, s.program, m.data from {self._table} m join series s on s.id = m.series"
            f" where m.ts >= ? and m.ts < ? and m.errors > 0 and {self._where}"
            f" order by m.errors desc limit {MOST_FAILING_ROWS}",
            (*self._span, *self._values),
        )
        for job, program, data in rows:
            flat = rollup.rolled_of(data).errno or []
            for place in range(0, len(flat), 3):
                number, code, count = flat[place : place + 3]
                self._fail(job, program, int(number), code, int(count))

    def _fail(self, job: str, program: str, number: int, code: int | str, count: int) -> None:
        key = (job, program, number, code)
        self._failed[key] = self._failed.get(key, 0) + count

    def moments(self, last_ms: int) -> Iterable[MomentStep]:
        """The steps, oldest first."""
        for ts in sorted({*self.steps, *self.durations}):
            calls, errors, _wall, cpu = self.steps.get(ts, [None] * 4)
            durations = working(self.durations.get(ts, {}).values())
            yield MomentStep(
                time=ts / 1000,
                end=min(ts + self._step, last_ms) / 1000,
                calls=calls,
                errors=errors,
                cpu_ns=cpu or 0,
                **percentiles(durations),
            )

    def uses(self, limit: int) -> Iterable[ProgramUse]:
        """The busiest programs."""
        took: dict[Program, list[CallDurations]] = {}
        for (job, program, _name), made in self.calls.items():
            took.setdefault((job, program), []).append(made)
        busiest = sorted(self.programs, key=lambda whose: -(self.programs[whose][0] or 0))
        for job, program in busiest[:limit]:
            calls, errors, wall, cpu = self.programs[job, program]
            yield ProgramUse(
                program=program,
                job=job,
                calls=calls,
                errors=errors,
                wall_ns=wall,
                cpu_ns=cpu or 0,
                **percentiles(together(took.get((job, program), ()))),
            )

    def failing(self, limit: int) -> Iterable[FailingCall]:
        """What failed most."""
        names = dict(self._history.connection.execute("select id, name from names"))
        most = sorted(self._failed.items(), key=lambda item: -item[1])[: min(limit, MOST)]
        for (job, program, number, code), count in most:
            word = errno_module.errorcode.get(code, str(code)) if isinstance(code, int) else code
            call = names.get(number, f"syscall#{number}")
            yield FailingCall(program=program, job=job, syscall=call, errno=word, errors=count)

    def known(self) -> bool:
        """Whether anything of these is known, at any time."""
        if (self._pid, self._name, self._job) == (None, None, None) or self.steps:
            return True
        found = self._history.connection.execute(f"select 1 from series s where {self._where} limit 1", self._values)
        return found.fetchone() is not None


def _narrowed(history: History, pid: int | None, name: str | None, job: str | None) -> tuple[str, list[object]]:
    """Which series, as a condition with its values."""
    theirs, who = history.theirs("s.")
    where, values = [theirs], list[object](who)
    for column, value in (("pid", pid), ("job", job)):
        if value is not None:
            where.append(f"s.{column} = ?")
            values.append(value)
    if name is not None:
        where.append("(s.comm glob ? or s.program glob ?)")
        values += [name, name]
    return " and ".join(where), values
