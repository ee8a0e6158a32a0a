"""Opens the database: private, checked after an unclean end, and moved aside when it is broken, never deleted."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import time
from pathlib import Path

from msgspec import Struct

from straced.errors import StracedError
from straced.linux.kept_file import open_kept
from straced.linux.opened_directory import OpenedDirectory
from straced.store import schema

log = logging.getLogger("straced.service")
BUSY_S = 2.0


class StoreError(StracedError):
    """History cannot be kept; profiling goes on without."""

    code = "store"


class StoreBusy(StoreError):
    """It cannot be opened now, and perhaps later: the disk is full, or somebody holds a lock."""

    def __init__(self, reason: str, state: str) -> None:
        super().__init__(reason, hint="history begins when that is over")
        self.state = state


class Opened(Struct):
    """A database that can be written to, and what was found out when it was opened."""

    connection: sqlite3.Connection
    unclean: bool = False
    """The service before did not end in order."""
    moved: Path | None = None
    """Where a broken file was moved to."""
    checked: bool = False
    """All of it was looked at, or it is new."""


def open_for_writing(path: Path) -> Opened:
    """Open, or create, the database at ``path``.

    Raises:
        StoreBusy: not now.
        StoreError: the directory is not ours alone, or nothing can be written there.
        StoreTooNew: made by a newer straced.
    """
    private_folder(path.parent)
    try:
        return _open(path)
    except (sqlite3.DatabaseError, schema.ForeignDatabase) as error:
        if state := state_of(error):
            raise StoreBusy(f"{path}: {error}", state) from error
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"{path}: {error}", hint="see store.path in straced.toml") from error
        moved = move_aside(path)
        log.warning("history_moved_aside", extra={"straced": {"path": str(moved), "why": str(error)}})
        opened = _open(path)
        opened.moved = moved
        return opened


def private_folder(folder: Path) -> None:
    """Make a directory that is ours alone, or refuse one that is not.

    Raises:
        StoreError: others may write to it, or it is somebody else's.
    """
    try:
        directory = OpenedDirectory(folder, make=True)
        found = os.fstat(directory.fd)
        directory.close()
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror}", hint='choose a directory of your own: state = "/path" in straced.toml'
        ) from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StoreError(
            f"{folder} is writable by others, or not owned by this user",
            hint=f"chmod 0700 {folder}, or choose another directory",
        )


def _open(path: Path) -> Opened:
    try:
        os.close(open_kept(path, os.O_RDWR))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreBusy(f"{path}: {error.strerror}", "full") from error
        raise StoreError(f"{path}: {error.strerror}", hint="see store.path in straced.toml") from error
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        fresh = path.stat().st_size == 0
        schema.check(connection)
        connection.execute("pragma auto_vacuum = incremental")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute("pragma cache_size = -8000")
        connection.execute("pragma journal_size_limit = 67108864")
        schema.prepare(connection)
        unclean = _was_unclean(connection)
        if unclean and connection.execute("pragma quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it failed its integrity check")
    except BaseException:
        connection.close()
        raise
    connection.execute("insert or replace into meta values ('open', ?)", (str(os.getpid()),))
    return Opened(connection, unclean, checked=unclean or fresh)


def state_of(error: BaseException) -> str:
    """``full`` or ``locked`` for what passes by itself; empty for all else."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {sqlite3.SQLITE_FULL: "full", sqlite3.SQLITE_BUSY: "locked", sqlite3.SQLITE_LOCKED: "locked"}.get(code, "")


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file is not what it should be."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _was_unclean(connection: sqlite3.Connection) -> bool:
    return connection.execute("select 1 from meta where key = 'open'").fetchone() is not None


def mark_clean(connection: sqlite3.Connection) -> None:
    """Note that the end was in order."""
    connection.execute("delete from meta where key = 'open'")


def move_aside(path: Path) -> Path:
    """Give a file, with its journals, another name; returns that."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    moved = path.with_name(f"{path.name}.broken-{stamp}")
    number = 0
    while moved.exists():
        number += 1
        moved = path.with_name(f"{path.name}.broken-{stamp}-{number}")
    os.rename(path, moved)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{moved}{suffix}")
    return moved


def move_journals_aside(path: Path) -> None:
    """What belongs to a file that is gone must not be taken for the new one's."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(OSError):
            os.rename(f"{path}{suffix}", f"{path}.gone-{stamp}{suffix}")


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; ``None``: none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def kept(connection: sqlite3.Connection, key: str) -> str | bytes | None:
    """A value of the table ``meta``."""
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return None if row is None else row[0]


def damage_in(path: Path) -> str:
    """What a look at the whole file finds wrong; empty when nothing is, or it cannot be looked at now."""
    try:
        connection = open_for_reading(path)
    except (StoreError, sqlite3.Error):
        return ""
    try:
        found = str(connection.execute("pragma quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error) if is_damage(error) else ""
    finally:
        connection.close()
    return "" if found == "ok" else found


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the database so that nothing can be written by it.

    Raises:
        StoreError: there is none, or it may not be read.
    """
    if not os.access(path, os.R_OK):
        reason = "no history" if not path.exists() else "permission denied for the history"
        raise StoreError(f"{reason}: {path}", hint="start straced serve to record history")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, check_same_thread=False
    )
    connection.execute("pragma query_only = on")
    return connection
