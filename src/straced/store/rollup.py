"""Closed minutes become one block and one roll-up a series, and are merged into the roll-up of their hour.

All of it is one transaction with the deletion of the rows it was made from, so that each sample counts exactly once,
whenever the service is killed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import msgspec
from msgspec import Struct

from straced.store import blocks
from straced.store.packing import FACTS, Facts, PackedRow, PackedSums, decode, unpack_facts

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
_RSS, _THREADS, _FDS, _STATE = (FACTS.index(name) for name in ("rss_bytes", "threads", "fds", "state"))
COLUMNS = "samples, calls, errors, wall_ns, waiting_ns, cpu_ns, rss_max, rss_mean, fds_max, threads_max, data"


class RollupRow(Struct, array_like=True):
    """The packed part of a roll-up."""

    calls: list[int | None] | None = None
    errno: list[int | str] | None = None
    lost: int | None = 0
    states: dict[str, int] = {}


_rolled = msgspec.msgpack.Decoder(RollupRow)


class RollupBuilder:
    """A roll-up in the making."""

    def __init__(self) -> None:
        self.samples = 0
        self.cpu_ns = 0
        self.rss_sum = 0
        self.rss_max: int | None = None
        self.fds_max: int | None = None
        self.threads_max: int | None = None
        self.sums = PackedSums()
        self.states: dict[str, int] = {}
        self._facts: Facts | None = None
        self._rss, self._state = 0, ""

    def add(self, row: PackedRow) -> None:
        """Add a row."""
        self.sums.add(row)
        self._add_facts(row)

    def add_all(self, rows: Sequence[PackedRow]) -> None:
        """Add rows, one after the other."""
        self.sums.add_all(rows)
        for row in rows:
            self._add_facts(row)

    def _add_facts(self, row: PackedRow) -> None:
        self.samples += 1
        self.cpu_ns += row.cpu_ns
        if row.facts is not None:
            self._facts = facts = unpack_facts(row.facts, self._facts) or ()
            rss, self._state = facts[_RSS], str(facts[_STATE])
            self._rss = rss if isinstance(rss, int) else 0
            self.rss_max = _largest(self.rss_max, rss)
            self.threads_max = _largest(self.threads_max, facts[_THREADS])
            self.fds_max = _largest(self.fds_max, facts[_FDS])
        if self._facts is not None:
            self.rss_sum += self._rss
            self.states[self._state] = self.states.get(self._state, 0) + 1

    def merge(self, stored: tuple[int | bytes | None, ...]) -> None:
        """Add a stored roll-up, the columns of ``COLUMNS``."""
        samples, _calls, _errors, _wall, _waiting, cpu_ns, rss_max, rss_mean, fds_max, threads_max, data = stored
        assert isinstance(samples, int)
        assert isinstance(data, bytes)
        rolled = _rolled.decode(data)
        self.samples += samples
        self.cpu_ns += cpu_ns if isinstance(cpu_ns, int) else 0
        self.rss_sum += (rss_mean if isinstance(rss_mean, int) else 0) * samples
        self.rss_max = _largest(self.rss_max, rss_max)
        self.fds_max = _largest(self.fds_max, fds_max)
        self.threads_max = _largest(self.threads_max, threads_max)
        self.sums.add(PackedRow(calls=rolled.calls, errno=rolled.errno, lost=rolled.lost))
        for state, count in rolled.states.items():
            self.states[state] = self.states.get(state, 0) + count

    def columns(self) -> tuple[int | bytes | None, ...]:
        """The columns of ``COLUMNS``."""
        sums = self.sums
        rolled = RollupRow(sums.flat(), sums.flat_errno(), sums.lost, self.states)
        return (
            self.samples,
            *(sums.total(column) for column in range(4)),
            self.cpu_ns,
            self.rss_max,
            self.rss_sum // self.samples if self.samples and self.rss_max is not None else None,
            self.fds_max,
            self.threads_max,
            msgspec.msgpack.encode(rolled),
        )


def _largest(before: int | None, value: object) -> int | None:
    if not isinstance(value, int):
        return before
    return value if before is None or value > before else before


def close_minutes(connection: sqlite3.Connection, until_ms: int, rest: Callable[[], None] = lambda: None) -> int:
    """Pack and roll up all rows before ``until_ms`` (the start of a minute); returns how many there were.

    Args:
        connection: of the database.
        until_ms: when they end.
        rest: called after each series, so that it is not all done in one piece.
    """
    rows = connection.execute(
        f"select series, ts / {MINUTE_MS}, ts, data from sample where ts < ? order by series, ts", (until_ms,)
    )
    count = 0
    for (series, minute), group in groupby(rows, key=itemgetter(0, 1)):
        known = [(ts, decode(data)) for _series, _minute, ts, data in group]
        count += len(known)
        start = minute * MINUTE_MS
        roll = RollupBuilder()
        roll.add_all([row for _ts, row in known])
        _write_block(connection, series, start, known)
        hour = RollupBuilder()
        hour.merge(roll.columns())
        _merge_into(connection, "minute", series, start, roll)
        _merge_into(connection, "hour", series, start - start % HOUR_MS, hour)
        rest()
    connection.execute("delete from sample where ts < ?", (until_ms,))
    return count


def _write_block(connection: sqlite3.Connection, series: int, start: int, rows: list[tuple[int, PackedRow]]) -> None:
    stored = connection.execute("select data from block where series = ? and ts = ?", (series, start)).fetchone()
    if stored is not None:  # the clock was stepped back into a minute that was closed already
        rows = sorted([*blocks.unpack(start, stored[0]), *rows], key=itemgetter(0))
    connection.execute("insert or replace into block values (?, ?, ?)", (series, start, blocks.pack(start, rows)))


def _merge_into(connection: sqlite3.Connection, table: str, series: int, ts: int, roll: RollupBuilder) -> None:
    stored = connection.execute(f"select {COLUMNS} from {table} where series = ? and ts = ?", (series, ts)).fetchone()
    if stored is not None:
        roll.merge(stored)
    marks = ", ".join("?" * 13)
    connection.execute(f"insert or replace into {table} values ({marks})", (series, ts, *roll.columns()))


def rolled_of(data: bytes) -> RollupRow:
    """The packed part of a roll-up."""
    return _rolled.decode(data)


def rows_of(packed: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, PackedRow]]:
    """Rows as values."""
    return ((ts, decode(data)) for ts, data in packed)
