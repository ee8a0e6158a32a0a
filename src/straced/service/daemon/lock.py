"""One service a state directory, and one a socket: a lock on a file, which the kernel drops however its owner ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from straced.errors import StracedError
from straced.linux.kept_file import open_kept
from straced.store.database import private_folder


class AlreadyRunning(StracedError):
    """Another service holds the lock; ``owner_pid`` is who."""

    code = "already_running"

    def __init__(self, reason: str, *, owner_pid: int | None = None, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.owner_pid = owner_pid


class ServiceLock:
    """The lock, for the length of a ``with`` block.

    Args:
        path: of the file.
        what: is locked, for the message; by default the directory that it is in, which is made.

    Raises:
        AlreadyRunning: another service has it.
        StoreError: the directory cannot be had.
    """

    def __init__(self, path: Path, what: str = "") -> None:
        self._path = path
        self._what = what
        self._fd = -1

    def __enter__(self) -> Self:
        if not self._what:
            private_folder(self._path.parent)
        self._fd = open_kept(self._path, os.O_RDWR)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self._owner()
            os.close(self._fd)
            who = f" (pid {owner})" if owner else ""
            where = f"{self._what} {self._path.name.removesuffix('.lock')} in " if self._what else ""
            raise AlreadyRunning(
                f"another straced service is running{who}, for {where}{self._path.parent}",
                owner_pid=owner,
                hint="straced status",
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, its owner is not told then
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def _owner(self) -> int | None:
        text = os.pread(self._fd, 32, 0).strip()
        return int(text) if text.isdigit() else None
