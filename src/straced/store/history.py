"""Reads history: what processes did in a span, from roll-ups for the closed minutes and from rows for the rest."""

from __future__ import annotations

import contextlib
import errno as errno_module
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from straced.config.globs import MAX_CHARS
from straced.errors import InvalidArgument
from straced.linux.credentials import Peer
from straced.model import aggregation
from straced.model.history import HistoryAnswer, Peaks, Point, Ranked, SeriesInfo
from straced.model.owner import Owner
from straced.model.types import Counters, SyscallStats, Total
from straced.store import database, gaps, over_time, ranking, rollup
from straced.store.packing import PackedRow, PackedSums
from straced.store.rollup import COLUMNS, HOUR_MS, MINUTE_MS, RollupBuilder
from straced.store.series_info import INFO, info_of

MAX_SERIES = 5000
LAST_MS = 2 * MINUTE_MS
"""How far the ``last_ms`` of a series that goes on may lag: it is written once a minute."""


class History:
    """A reader of one database, for one who asks.

    Args:
        path: the database.
        peer: who asks: rows of processes that are not theirs are left out; ``None`` sees all.
    """

    def __init__(self, path: Path, peer: Peer | None = None) -> None:
        self.connection = database.open_for_reading(path)
        self._peer = peer
        self.cut = False
        """Whether the last :meth:`find` left out processes, for there were too many."""

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """All that is read within is of one moment: a minute that is closed meanwhile is seen once."""
        self.connection.execute("begin")
        try:
            yield
        finally:
            self.connection.rollback()

    def may_see(self, uid: int | None, gid: int | None, private: object) -> bool:
        """Whether the one who asks may see a row; one without an owner is about the service itself."""
        if self._peer is None or uid is None or gid is None:
            return True
        return self._peer.may_see(Owner(uid, gid, bool(private)))

    def theirs(self, of: str = "") -> tuple[str, list[int]]:
        """:meth:`may_see` as a condition with its values: what is cut to the newest is theirs, not everybody's.

        Args:
            of: what stands before the names of columns.
        """
        if self._peer is None or self._peer.is_root:
            return "1", []
        mine = f"({of}uid is null or {of}gid is null or ({of}uid = ? and {of}gid = ? and not {of}private))"
        return mine, [self._peer.uid, self._peer.gid]

    # --- which processes ---

    def find(
        self,
        *,
        pid: int | None = None,
        start_ticks: int | None = None,
        name: str | None = None,
        job: str | None = None,
        since: float = 0.0,
        until: float | None = None,
    ) -> list[SeriesInfo]:
        """Processes that were watched in a span: by pid, by name (a glob over comm and program), by job, or all."""
        where = ["(last_ms >= ? or (end is null and last_ms >= ?))", "first_ms <= ?"]
        since_ms = int(since * 1000)
        values: list[object] = [since_ms, since_ms - LAST_MS, int((until or time.time() + 86400) * 1000)]
        for column, value in (("pid", pid), ("start_ticks", start_ticks), ("job", job)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        if name is not None:
            if len(name) > MAX_CHARS:
                raise InvalidArgument(f"a pattern has at most {MAX_CHARS} characters")
            where.append("(comm glob ? or program glob ?)")
            values += [name, name]
        theirs, who = self.theirs()
        rows = self.connection.execute(
            f"select {INFO} from series where {' and '.join([*where, theirs])} order by last_ms desc"
            f" limit {MAX_SERIES + 1}",
            [*values, *who],
        ).fetchall()
        self.cut = len(rows) > MAX_SERIES
        return [info for info in map(info_of, rows[:MAX_SERIES]) if self.may_see(info.uid, info.gid, info.private)]

    # --- what they did ---

    def answer(self, series: Sequence[SeriesInfo], since: float, until: float | None = None) -> HistoryAnswer:
        """What these processes did in a span, added up."""
        start, end = self._span(since, until)
        roll = RollupBuilder()
        for info in series:
            if self.may_see(info.uid, info.gid, info.private):
                self._add(roll, info.id, start, end)
        rows, total = self._table(roll.sums)
        first = self.connection.execute("select min(first_ms) from series").fetchone()[0]
        return HistoryAnswer(
            start=max(start, first or start) / 1000,
            end=max(start / 1000, min(end / 1000, time.time())),
            processes=tuple(series),
            rows=rows,
            total=total,
            peaks=Peaks(
                cpu_ns=roll.cpu_ns,
                rss_max_bytes=roll.rss_max,
                fds_max=roll.fds_max,
                threads_max=roll.threads_max,
                states=roll.states,
                samples=roll.samples,
            ),
            counted=roll.sums.counted,
            lost=None if self.cut else roll.sums.lost,
            gaps_s=self.gaps_s(start, end),
        )

    def _span(self, since: float, until: float | None) -> tuple[int, int]:
        start = int(since * 1000) // MINUTE_MS * MINUTE_MS
        end = int((until if until is not None else time.time() + 3600) * 1000)
        oldest = self.connection.execute("select min(ts) from minute").fetchone()[0]
        if oldest is None or start < oldest:
            start = start // HOUR_MS * HOUR_MS
        return max(0, start), end

    def _add(self, roll: RollupBuilder, series: int, start: int, end: int) -> None:
        first_hour, last_hour = -(-start // HOUR_MS) * HOUR_MS, end // HOUR_MS * HOUR_MS
        if first_hour >= last_hour:
            first_hour = last_hour = end
        oldest = self.connection.execute("select min(ts) from minute where series = ?", (series,)).fetchone()[0]
        if oldest is None or start < oldest:
            first_hour = min(start // HOUR_MS * HOUR_MS, last_hour)
        spans = [("minute", start, first_hour), ("hour", first_hour, last_hour), ("minute", last_hour, end)]
        for table, low, high in spans:
            if low < high:
                for stored in self.connection.execute(
                    f"select {COLUMNS} from {table} where series = ? and ts >= ? and ts < ?", (series, low, high)
                ):
                    roll.merge(stored)
        for _ts, row in self._open_rows(series, start, end):
            roll.add(row)

    def _open_rows(self, series: int, start: int, end: int) -> list[tuple[int, PackedRow]]:
        """Rows of the minute that is not closed yet."""
        found = self.connection.execute(
            "select ts, data from sample where ts >= ? and ts < ? and series = ?", (start, end, series)
        )
        return list(rollup.rows_of(found))

    def _table(self, sums: PackedSums) -> tuple[tuple[SyscallStats, ...], Total]:
        names = {
            number: (name, abi) for number, name, abi in self.connection.execute("select id, name, abi from names")
        }
        errno: dict[int, dict[str, int]] = {}
        for (number, code), count in sums.errno.items():
            word = errno_module.errorcode.get(code, str(code)) if isinstance(code, int) else code
            errno.setdefault(number, {})[word] = count
        counters = []
        for number, (calls, errors, wall, waiting) in sums.by_name.items():
            name, abi = names.get(number, (f"syscall#{number}", ""))
            counters.append(
                Counters(
                    name=name,
                    abi=abi,
                    calls=calls,
                    errors=errors,
                    errno=errno.get(number, {}),
                    wall_ns=wall,
                    waiting_ns=waiting,
                    working_ns=None if wall is None or waiting is None else wall - waiting,
                )
            )
        rows, total = aggregation.table(aggregation.merge_rows(counters), "wall")
        return rows, total if sums.counted else Total()

    def gaps_s(self, start: int, end: int) -> float:
        """Time without rows of the host: the service did not run."""
        return gaps.gaps_s(self.connection, start, end)

    # --- over time, and by rank ---

    def timeline(self, series: Sequence[SeriesInfo], since: float, until: float | None, step_s: float) -> list[Point]:
        """Steps of at least a minute, over several processes added up; a step without a row is left out."""
        start, end = self._span(since, until)
        seen = [info.id for info in series if self.may_see(info.uid, info.gid, info.private)]
        return over_time.points(self.connection, seen, start, end, step_s)

    def top(self, since: float, until: float | None = None, *, by: str = "calls", limit: int = 10) -> list[Ranked]:
        """The busiest processes of a span (whole hours beyond six hours, whole minutes below), up to now."""
        start, end = self._span(since, until)
        found: list[Ranked] = []
        for series, figures in ranking.ranked(self.connection, start, end, by):
            row = self.connection.execute(f"select {INFO} from series where id = ?", (series,)).fetchone()
            if row is None:
                continue  # expired meanwhile
            info = info_of(row)
            if self.may_see(info.uid, info.gid, info.private):
                found.append(ranking.of_process(info, figures))
            if len(found) >= limit:
                break
        return found
