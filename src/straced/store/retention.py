"""What is dropped: rows beyond their age, and when the file has reached its size those of the user who has most of it.

Every table that can grow is counted. So nobody's history goes for what another one has written.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from straced.config import schema
from straced.store.learnt_names import user_of
from straced.store.queue import SERVICE
from straced.store.rollup import HOUR_MS, MINUTE_MS

MAX_CUTS = 48
"""Pieces of history dropped in one go when the file is too large."""
ROOM = 0.95
"""How full the file is after that."""
ROW_BYTES = 32
SERIES_BYTES = 250
"""Of a row beside its texts, with its places in indices."""
_OF_SERIES = ("block", "minute", "hour", "sample")
_MINE = "series in (select id from series where uid = :uid)"
_NOBODYS = "series not in (select id from series)"


class DroppedHistory(Struct, frozen=True):
    """Something that is gone: of whom, and until when (ms)."""

    uid: int
    until_ms: int


def expire(connection: sqlite3.Connection, now_ms: int, keep: schema.StoreConfig) -> None:
    """Drop what is too old."""
    full = now_ms - keep.full // 10**6
    connection.execute("delete from block where ts < ?", (full - MINUTE_MS,))
    connection.execute(
        "delete from host where ts < ? and ts not in"
        f" (select min(ts) from host where ts < ? group by ts / {MINUTE_MS})",
        (full, full),
    )
    connection.execute("delete from host where ts < ?", (now_ms - keep.minutes // 10**6,))
    connection.execute("delete from minute where ts < ?", (now_ms - keep.minutes // 10**6,))
    connection.execute("delete from hour where ts < ?", (now_ms - keep.hours // 10**6,))
    connection.execute("delete from latency where ts < ?", (now_ms - keep.minutes // 10**6,))
    connection.execute("delete from latency_hour where ts < ?", (now_ms - keep.hours // 10**6,))
    connection.execute("delete from event where ts < ?", (now_ms - keep.events // 10**6,))
    connection.execute(
        "delete from alert where closed_ms is not null and opened_ms < ?", (now_ms - keep.events // 10**6,)
    )
    connection.execute(
        "delete from series where end is not null and last_ms < ?", (now_ms - keep.hours // 10**6 - HOUR_MS,)
    )


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        int(connection.execute(f"pragma {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def weights(connection: sqlite3.Connection) -> dict[tuple[int, str], int]:
    """Bytes by user and table, as far as they can be told apart: all that can grow."""
    found: dict[tuple[int, str], int] = {}

    def add(table: str, query: str) -> None:
        for uid, size in connection.execute(query):
            found[uid, table] = found.get((uid, table), 0) + int(size)

    for table in _OF_SERIES:
        add(
            table,
            f"select coalesce(s.uid, {SERVICE}), sum(length(t.data) + {ROW_BYTES}) from {table} t"
            " left join series s on s.id = t.series group by 1",
        )
    texts = " + ".join(f"length({name})" for name in ("comm", "program", "cmdline", "labels", "job"))
    add("series", f"select uid, sum({texts} + {SERIES_BYTES}) from series group by 1")
    for table, columns in (("event", "text comm labels data"), ("alert", "text subject comm data")):
        size = " + ".join(f"length({name})" for name in columns.split())
        add(table, f"select coalesce(uid, {SERVICE}), sum({size} + {SERIES_BYTES}) from {table} group by 1")
    for table in ("latency", "latency_hour"):
        size = f"length(data) + length(job) + length(program) + {ROW_BYTES}"
        add(table, f"select uid, sum({size}) from {table} group by 1")
    add("host", f"select {SERVICE}, coalesce(sum(length(data) + {ROW_BYTES}), 0) from host")
    for program, size in connection.execute(
        f"select program, sum(length(program) + length(what) + {ROW_BYTES}) from known group by 1"
    ):
        key = user_of(program), "known"
        found[key] = found.get(key, 0) + int(size)
    return {key: size for key, size in found.items() if size}


def cut(connection: sqlite3.Connection, keep: schema.StoreConfig) -> list[DroppedHistory]:
    """Drop the oldest of the user who has most, and so on until the file is below its size.

    Returns:
        What is gone now, of each user.
    """
    if used_bytes(connection) <= keep.max_bytes:
        return []
    sizes = weights(connection)
    gone: dict[int, int] = {}
    for _ in range(MAX_CUTS):
        used = used_bytes(connection)
        if used <= keep.max_bytes * ROOM or not sizes:
            break
        users: dict[int, int] = {}
        for (uid, _table), size in sizes.items():
            users[uid] = users.get(uid, 0) + size
        heaviest = max(users, key=lambda uid: users[uid])
        table = max((t for uid, t in sizes if uid == heaviest), key=lambda t: sizes[heaviest, t])
        until_ms = _drop_oldest(connection, heaviest, table)
        if until_ms is None:
            del sizes[heaviest, table]  # what is left of it is in use
            continue
        gone[heaviest] = max(until_ms, gone.get(heaviest, 0))
        sizes[heaviest, table] = max(0, sizes[heaviest, table] - used + used_bytes(connection))
    return [DroppedHistory(uid, until_ms) for uid, until_ms in gone.items()]


def _drop_oldest(connection: sqlite3.Connection, uid: int, table: str) -> int | None:
    """Drop the oldest hour of a user's rows, or a part of their processes; until when, ``None``: there is nothing."""
    if table == "series":
        return _drop_series(connection, uid)
    if table == "known":
        return _drop_known(connection, uid)
    time = "opened_ms" if table == "alert" else "ts"
    where = "1" if table == "host" else f"coalesce(uid, {SERVICE}) = :uid"
    if table in _OF_SERIES:
        where = _MINE if uid != SERVICE else _NOBODYS
    if table == "alert":
        where += " and closed_ms is not null"
    oldest = connection.execute(f"select min({time}) from {table} where {where}", {"uid": uid}).fetchone()[0]
    if oldest is None:
        return None
    until_ms = int(oldest) - int(oldest) % HOUR_MS + HOUR_MS
    connection.execute(f"delete from {table} where {where} and {time} < :until", {"uid": uid, "until": until_ms})
    return until_ms


def _drop_series(connection: sqlite3.Connection, uid: int) -> int | None:
    """A quarter of the processes that ended, those that ended first, with all that is known of them."""
    ended = "from series where uid = ? and end is not null"
    count = connection.execute(f"select count(*) {ended}", (uid,)).fetchone()[0]
    chosen = connection.execute(
        f"select id, last_ms {ended} order by last_ms limit ?", (uid, count // 4 + 1)
    ).fetchall()
    if not chosen:
        return None
    for table in _OF_SERIES:
        connection.executemany(f"delete from {table} where series = ?", [(number,) for number, _last in chosen])
    connection.executemany("delete from series where id = ?", [(number,) for number, _last in chosen])
    return int(chosen[-1][1])


def _drop_known(connection: sqlite3.Connection, uid: int) -> int | None:
    """What was learnt of a user's programs: it can be learnt anew."""
    last = connection.execute("select max(first_ms) from known").fetchone()[0]
    programs = [row[0] for row in connection.execute("select distinct program from known")]
    mine = [(program,) for program in programs if user_of(program) == uid]
    connection.executemany("delete from known where program = ?", mine)
    return int(last) if mine else None


def shrink(connection: sqlite3.Connection) -> None:
    """Give free pages back to the file system, some at a time."""
    connection.execute("pragma incremental_vacuum(2000)").fetchall()
