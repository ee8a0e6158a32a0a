"""Reads history: what processes did in a span, from roll-ups for the closed minutes and from rows for the rest."""

from __future__ import annotations

import errno as errno_module
import time
from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import msgspec

from straced.config.globs import MAX_CHARS
from straced.errors import InvalidArgument
from straced.linux.credentials import Peer
from straced.model import aggregation
from straced.model.history import HistoryAnswer, Peaks, Point, Ranked, SeriesInfo
from straced.model.owner import Owner
from straced.model.types import Counters, SyscallStats, Total
from straced.store import database, rollup
from straced.store.packing import PackedRow, PackedSums
from straced.store.rollup import COLUMNS, HOUR_MS, MINUTE_MS, RollupBuilder

INFO = (
    "id, kind, pid, start_ticks, boot_id, comm, program, cmdline, uid, gid, private, labels, first_ms, last_ms, end,"
    " exit_status"
)
MAX_SERIES = 5000
GAP_FACTOR = 3
LAST_MS = 2 * MINUTE_MS
"""How far the ``last_ms`` of a series that goes on may lag: it is written once a minute."""
_RANKED = ("calls", "errors", "wall_ns", "waiting_ns", "cpu_ns", "rss_max_bytes")


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

    def may_see(self, uid: int | None, gid: int | None, private: object) -> bool:
        """Whether the one who asks may see a row; one without an owner is about the service itself."""
        if self._peer is None or uid is None or gid is None:
            return True
        return self._peer.may_see(Owner(uid, gid, bool(private)))

    def theirs(self) -> tuple[str, list[int]]:
        """:meth:`may_see` as a condition with its values: what is cut to the newest is theirs, not everybody's."""
        if self._peer is None or self._peer.is_root:
            return "1", []
        return "(uid is null or gid is null or (uid = ? and gid = ? and not private))", [self._peer.uid, self._peer.gid]

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
        return [info for info in map(_info, rows[:MAX_SERIES]) if self.may_see(info.uid, info.gid, info.private)]

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
            end=end / 1000,
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
            gaps_s=self._gaps_s(start, end),
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

    def _gaps_s(self, start: int, end: int) -> float:
        """Time without rows of the host: the service did not run. Known for as long as each sample is kept."""
        times = [
            row[0] for row in self.connection.execute("select ts from host where ts >= ? and ts < ?", (start, end))
        ]
        if len(times) < 3:
            return 0.0
        steps = [b - a for a, b in pairwise(times)]
        usual = sorted(steps)[len(steps) // 2]
        return float(sum(step - usual for step in steps if step > GAP_FACTOR * max(usual, MINUTE_MS / 60)) / 1000)

    # --- over time, and by rank ---

    def timeline(self, series: Sequence[SeriesInfo], since: float, until: float | None, step_s: float) -> list[Point]:
        """Steps of at least a minute, over several processes added up; a step without a row is left out."""
        start, end = self._span(since, until)
        step = max(MINUTE_MS, int(step_s * 1000) // MINUTE_MS * MINUTE_MS)
        table = "hour" if step >= HOUR_MS and step % HOUR_MS == 0 else "minute"
        points: dict[int, list[int | None]] = {}
        for info in series:
            if not self.may_see(info.uid, info.gid, info.private):
                continue
            for ts, *values in self.connection.execute(
                f"select ts, calls, errors, wall_ns, waiting_ns, cpu_ns, rss_max from {table}"
                " where series = ? and ts >= ? and ts < ?",
                (info.id, start, end),
            ):
                sums = points.setdefault(ts // step * step, [0, 0, 0, 0, 0, 0])
                for i, value in enumerate(values):
                    old = sums[i]
                    if i < 5:
                        sums[i] = None if value is None or old is None else old + value
                    elif value is not None:
                        sums[i] = max(old or 0, value)
        return [
            Point(
                time=ts / 1000,
                step_s=step / 1000,
                calls=v[0],
                errors=v[1],
                wall_ns=v[2],
                waiting_ns=v[3],
                cpu_ns=v[4] or 0,
                rss_max_bytes=v[5],
            )
            for ts, v in sorted(points.items())
        ]

    def top(self, since: float, until: float | None = None, *, by: str = "calls", limit: int = 10) -> list[Ranked]:
        """The busiest processes of a span (whole hours beyond six hours, whole minutes below), up to now."""
        start, end = self._span(since, until)
        table = "minute" if end - start < 6 * HOUR_MS else "hour"
        if table == "hour":
            start = start // HOUR_MS * HOUR_MS
        self.connection.execute("begin")  # a minute that is closed meanwhile must not be seen twice, or not at all
        try:
            used = self._used(table, start, end)
        finally:
            self.connection.rollback()
        place = _RANKED.index({"time": "wall_ns", "cpu": "cpu_ns", "rss": "rss_max_bytes"}.get(by, by))
        found: list[Ranked] = []
        for series in sorted(used, key=lambda series: -1 if (value := used[series][place]) is None else value)[::-1]:
            row = self.connection.execute(f"select {INFO} from series where id = ?", (series,)).fetchone()
            if row is None:
                continue  # expired meanwhile
            info = _info(row)
            if self.may_see(info.uid, info.gid, info.private):
                calls, errors, wall, waiting, cpu, rss = used[series]
                found.append(
                    Ranked(
                        process=info,
                        calls=calls,
                        errors=errors,
                        wall_ns=wall,
                        waiting_ns=waiting,
                        cpu_ns=cpu or 0,
                        rss_max_bytes=rss,
                    )
                )
            if len(found) >= limit:
                break
        return found

    def _used(self, table: str, start: int, end: int) -> dict[int, list[int | None]]:
        """The figures of ``_RANKED`` by series: of closed minutes (or hours), and of the rows since."""
        rows = self.connection.execute(
            "select series, sum(calls), sum(errors), sum(wall_ns), sum(waiting_ns), sum(cpu_ns), max(rss_max)"
            f" from {table} where ts >= ? and ts < ? group by series",
            (start, end),
        )
        used: dict[int, list[int | None]] = {series: list(values) for series, *values in rows}
        running = self.connection.execute(
            "select series, ts, data from sample where ts >= ? and ts < ? order by series, ts", (start, end)
        )
        for series, group in groupby(running, key=itemgetter(0)):
            roll = RollupBuilder()
            for _ts, row in rollup.rows_of((ts, data) for _series, ts, data in group):
                roll.add(row)
            fresh = [*(roll.sums.total(column) for column in range(4)), roll.cpu_ns, roll.rss_max]
            known = used.get(series)
            used[series] = fresh if known is None else _together(known, fresh)
        return used


def _together(known: list[int | None], fresh: list[int | None]) -> list[int | None]:
    """Sums, and the larger of the last figure; ``None``, which a part without counts has, adds nothing."""
    pairs = list(zip(known, fresh, strict=True))
    sums = [a if b is None else b if a is None else a + b for a, b in pairs[:-1]]
    return [*sums, max((value for value in pairs[-1] if value is not None), default=None)]


def _info(row: tuple[object, ...]) -> SeriesInfo:
    (number, kind, pid, start, boot, comm, program, cmdline, uid, gid, private, labels, first, last, end, status) = row
    return msgspec.convert(
        {
            "id": number,
            "kind": kind,
            "pid": pid,
            "start_ticks": start,
            "boot_id": boot,
            "comm": comm,
            "program": program,
            "cmdline": msgspec.json.decode(str(cmdline) or "[]"),
            "uid": uid,
            "gid": gid,
            "private": bool(private),
            "labels": msgspec.json.decode(str(labels) or "{}"),
            "first_s": float(first) / 1000,  # type: ignore[arg-type]
            "last_s": float(last) / 1000,  # type: ignore[arg-type]
            "end": end,
            "exit_status": status,
        },
        SeriesInfo,
    )
