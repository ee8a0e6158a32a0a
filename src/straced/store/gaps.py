"""Time in which no service ran, from the times of its samples: a day has 86,400, of which as few as can be are read.

They come at a usual pace. Of an hour that has as many as that makes, nothing but their number is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import sub

from msgspec import Struct

from straced.store.rollup import HOUR_MS, MINUTE_MS

FACTOR = 3
"""A step of so many usual ones is a gap."""
LEAST_MS = 1000


class _Hour(Struct):
    """The samples of an hour, up to the first one after it."""

    first: int
    steps: int
    end: int

    @property
    def mean(self) -> float:
        return (self.end - self.first) / max(1, self.steps)


def gaps_s(connection: sqlite3.Connection, start: int, end: int) -> float:
    """All gaps of a span (ms) together; 0 where too few samples are known to tell.

    Of those beyond ``store.full`` only the first of each minute is there: from one to the next is no gap.
    """
    hours = _hours(connection, start, end)
    if sum(hour.steps for hour in hours) < 2:
        return 0.0
    usual = _usual(connection, hours)
    longest = FACTOR * max(usual, LEAST_MS)
    without = 0
    for hour in hours:
        if abs(hour.end - hour.first - hour.steps * usual) > longest / 2:  # the least gap makes two thirds of it
            times = _times(connection, hour)
            steps = enumerate(map(sub, times[1:], times))
            places = [(place, step) for place, step in steps if step > longest]
            without += sum(step - usual for place, step in places if not _kept_by_the_minute(times, place, usual))
    return without / 1000


def _hours(connection: sqlite3.Connection, start: int, end: int) -> list[_Hour]:
    found: list[_Hour] = []
    while True:  # from one to the next, for a clock that once stood at 1970 has made a gap of half a million hours
        first = connection.execute("select min(ts) from host where ts >= ? and ts < ?", (start, end)).fetchone()[0]
        if found:
            found[-1].end = found[-1].end if first is None else first
        if first is None:
            return found
        start = min(end, first // HOUR_MS * HOUR_MS + HOUR_MS)
        within = (first, start)
        (count,) = connection.execute("select count(*) from host where ts >= ? and ts < ?", within).fetchone()
        (last,) = connection.execute("select max(ts) from host where ts >= ? and ts < ?", within).fetchone()
        if found:
            found[-1].steps += 1
        found.append(_Hour(first, count - 1, last))


def _usual(connection: sqlite3.Connection, hours: list[_Hour]) -> int:
    """The middle one of the steps, out of the hour that has it."""
    left = sum(hour.steps for hour in hours) // 2
    for hour in sorted(hours, key=lambda hour: hour.mean):
        left -= hour.steps
        if left < 0:
            break
    times = _times(connection, hour)
    steps: list[int] = sorted(map(sub, times[1:], times))
    return steps[len(steps) // 2]


def _times(connection: sqlite3.Connection, hour: _Hour) -> list[int]:
    rows = connection.execute("select ts from host where ts >= ? and ts <= ?", (hour.first, hour.end))
    return [ts for (ts,) in rows]


def _kept_by_the_minute(times: Sequence[int], place: int, usual: int) -> bool:
    """Whether a row and the next one are the first of their minutes, and the only ones, as far as can be told."""
    minute = times[place] // MINUTE_MS
    first = place == 0 or times[place - 1] // MINUTE_MS < minute
    as_long = abs(times[place + 1] - times[place] - MINUTE_MS) <= max(usual, LEAST_MS)
    return first and as_long and times[place + 1] // MINUTE_MS == minute + 1
