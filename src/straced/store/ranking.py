"""The processes of a span by what they used: from the roll-ups of closed minutes or hours, and the rows since."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import itemgetter

from straced.model.history import Ranked, SeriesInfo
from straced.store import rollup
from straced.store.rollup import HOUR_MS, RollupBuilder

FIGURES = ("calls", "errors", "wall_ns", "waiting_ns", "cpu_ns", "rss_max_bytes")
_COLUMNS = {"time": "wall_ns", "cpu": "cpu_ns", "rss": "rss_max_bytes"}
Used = list[int | None]
"""A value for each of ``FIGURES``."""


def ranked(connection: sqlite3.Connection, start: int, end: int, by: str) -> list[tuple[int, Used]]:
    """The rows of processes with what they used, the busiest first.

    Args:
        connection: to the database, outside of a transaction.
        start: of the span, in ms since the epoch; cut to the hour where the span is longer than six hours.
        end: the same.
        by: ``calls``, ``errors``, ``time``, ``cpu`` or ``rss``.
    """
    table = "minute" if end - start < 6 * HOUR_MS else "hour"
    if table == "hour":
        start = start // HOUR_MS * HOUR_MS
    connection.execute("begin")  # a minute that is closed meanwhile must not be seen twice, or not at all
    try:
        used = _used(connection, table, start, end)
    finally:
        connection.rollback()
    place = FIGURES.index(_COLUMNS.get(by, by))
    order = sorted(used, key=lambda series: -1 if (value := used[series][place]) is None else value)
    return [(series, used[series]) for series in reversed(order)]


def of_process(info: SeriesInfo, used: Used) -> Ranked:
    """What a process used, with the process."""
    calls, errors, wall, waiting, cpu, rss = used
    return Ranked(
        process=info, calls=calls, errors=errors, wall_ns=wall, waiting_ns=waiting, cpu_ns=cpu or 0, rss_max_bytes=rss
    )


def _used(connection: sqlite3.Connection, table: str, start: int, end: int) -> dict[int, Used]:
    """The figures of ``FIGURES`` by series: of closed minutes (or hours), and of the rows since."""
    rows = connection.execute(
        "select series, sum(calls), sum(errors), sum(wall_ns), sum(waiting_ns), sum(cpu_ns), max(rss_max)"
        f" from {table} where ts >= ? and ts < ? group by series",
        (start, end),
    )
    used: dict[int, Used] = {series: list(values) for series, *values in rows}
    running = connection.execute(
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


def _together(known: Used, fresh: Used) -> Used:
    """Sums, and the larger of the last figure; ``None``, which a part without counts has, adds nothing."""
    pairs = list(zip(known, fresh, strict=True))
    sums = [a if b is None else b if a is None else a + b for a, b in pairs[:-1]]
    return [*sums, max((value for value in pairs[-1] if value is not None), default=None)]
