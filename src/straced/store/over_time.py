"""What processes did step by step, from the roll-ups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from straced.model.history import Point
from straced.store.rollup import HOUR_MS, MINUTE_MS


def points(connection: sqlite3.Connection, series: Iterable[int], start: int, end: int, step_s: float) -> list[Point]:
    """The steps of a span, of at least a minute, over several processes added up.

    Args:
        connection: to the database.
        series: the rows of the processes.
        start: of the span, in ms since the epoch.
        end: the same.
        step_s: seconds of a step; cut to whole minutes.

    Returns:
        A point for each step that has a row.
    """
    step = max(MINUTE_MS, int(step_s * 1000) // MINUTE_MS * MINUTE_MS)
    table = "hour" if step >= HOUR_MS and step % HOUR_MS == 0 else "minute"
    points: dict[int, list[int | None]] = {}
    for each in series:
        for ts, *values in connection.execute(
            f"select ts, calls, errors, wall_ns, waiting_ns, cpu_ns, rss_max from {table}"
            " where series = ? and ts >= ? and ts < ?",
            (each, start, end),
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
