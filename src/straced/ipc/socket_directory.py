"""The directory of a socket: ours, and reached by a way that nobody else can bend."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from straced.errors import StracedError


class SocketTaken(StracedError):
    """The path of the socket is something else, or cannot be made."""

    exit_code = 6
    code = "socket_taken"


def make_folder(folder: Path, *, system: bool) -> None:
    """Make the directory of a socket, or take the one that is there, if nobody else could have put it there.

    Raises:
        SocketTaken: it is somebody else's, others can write to it or to one above it, or it cannot be made.
    """
    try:
        _make(folder.parent, 0o755 if system else 0o700)
        _make(folder, 0o755 if system else 0o700)
        found = os.lstat(folder)
        hidden = 0o022 if system else 0o077
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & hidden:
            who = "ours alone to write to" if system else "yours alone"
            raise SocketTaken(
                f"{folder} is not {who}",
                hint=f"chmod {0o777 & ~hidden:04o} {folder}, or set ipc.socket",
            )
        if (other := bent_at(folder)) is not None:
            raise SocketTaken(f"{other}, above {folder}, is not safe from other users", hint="set ipc.socket")
    except OSError as error:
        raise SocketTaken(f"{folder}: {error.strerror or error}", hint="choose another: ipc.socket") from error


def _make(folder: Path, mode: int) -> None:
    if not folder.parent.exists():
        _make(folder.parent, mode)
    with contextlib.suppress(FileExistsError):
        before = os.umask(0)
        try:
            folder.mkdir(mode=mode)
        finally:
            os.umask(before)


def bent_at(folder: Path) -> Path | None:
    """A directory or link on the way to ``folder`` that another user, root apart, could exchange; or ``None``."""
    real = Path(os.path.realpath(folder))
    for each in dict.fromkeys((*folder.absolute().parents, real, *real.parents)):
        found = os.lstat(each)
        open_to_all = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o002 and not found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, os.geteuid()) or open_to_all:
            return each
    return None
