"""The file of a history, for verbs that read it without a service; what is wrong with it, in words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from straced.store import schema
from straced.store.database import StoreError
from straced.store.history import History


def usual_path() -> Path:
    """Where the service of this user has its history."""
    from straced.config import paths
    from straced.config.loader import find_config

    _path, config = find_config(None)
    return Path(config.store.path) if config.store.path else paths.of(config).history


@contextlib.contextmanager
def history_in(path: Path) -> Iterator[History]:
    """Open the history of a file for the length of a block.

    Args:
        path: the file; the service may be writing it.

    Raises:
        StoreError: it cannot be read, nothing has been written there yet, or it is none.
        StoreTooNew: made by a newer straced.
    """
    try:
        with contextlib.closing(History(path)) as history:
            _check(history.connection, path)
            yield history
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be read: {error}", hint=_hint(error)) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        schema.check(connection)
    except schema.ForeignDatabase:
        raise StoreError(f"{path} is a database of another program, and no history") from None
    if not connection.execute("select count(*) from sqlite_master").fetchone()[0]:
        raise StoreError(
            f"{path} is empty: a service began it, and has written nothing there yet",
            hint="is the disk full? straced status tells why history has not begun",
        )


def _hint(error: sqlite3.DatabaseError) -> str:
    """What to do about it: the usual causes are a full disk, which has no room for a journal, and a damaged file."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return "is the disk full? SQLite needs room beside the file: copy it elsewhere, or make room"
    return "straced serve moves a damaged file aside and begins a new one"
