"""What is dropped: rows beyond their age, and the oldest ones when the file has reached its size."""

from __future__ import annotations

import sqlite3

from straced import config
from straced.service.store.rollup import HOUR_MS, MINUTE_MS

MAX_CUTS = 24
"""Hours of history dropped in one go when the file is too large."""


def expire(connection: sqlite3.Connection, now_ms: int, keep: config.Store) -> None:
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


def cut(connection: sqlite3.Connection, keep: config.Store) -> int | None:
    """Drop the oldest hours, full resolution first, until the file is below its size.

    Returns:
        Until when (ms) something is gone now; ``None`` when nothing had to be.
    """
    gone = None
    for _ in range(MAX_CUTS):
        if used_bytes(connection) <= keep.max_bytes:
            break
        table, oldest = _oldest(connection)
        if table is None or oldest is None:
            break
        gone = oldest - oldest % HOUR_MS + HOUR_MS
        connection.execute(f"delete from {table} where ts < ?", (gone,))
    return gone


def _oldest(connection: sqlite3.Connection) -> tuple[str | None, int | None]:
    for table in ("block", "minute", "host", "hour", "event"):
        oldest = connection.execute(f"select min(ts) from {table}").fetchone()[0]
        if oldest is not None:
            return table, int(oldest)
    return None, None


def shrink(connection: sqlite3.Connection) -> None:
    """Give free pages back to the file system, some at a time."""
    connection.execute("pragma incremental_vacuum(2000)").fetchall()
