"""Files of ours that are not written once and for all: they grow, or are locked, or belong to a database."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from straced.linux.opened_directory import OpenedDirectory

_ALWAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_kept(path: Path, flags: int, *, make_directories: bool = False) -> int:
    """Open a file that stays; to write, make it, mode 0600, where there is none. Nothing of it is lost.

    Args:
        flags: ``os.O_RDWR``, ``os.O_WRONLY | os.O_APPEND``, or ``os.O_RDONLY``.
        make_directories: make the directories above that are missing, mode 0700.

    Raises:
        PermissionError: it is no regular file, or one that somebody else put there.
        OSError: a link, or any other refusal of the kernel.
    """
    flags |= _ALWAYS | (0 if flags & os.O_ACCMODE == os.O_RDONLY else os.O_CREAT)
    directory = OpenedDirectory(path.parent, make=make_directories)
    try:
        try:
            fd = os.open(path.name, flags, 0o600, dir_fd=directory.fd)  # a FIFO must not hold us up
        except OSError as error:
            error.filename = str(path)
            raise
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or directory.is_planted(found):
            os.close(fd)
            raise PermissionError(errno.EPERM, "not a regular file of ours", str(path))
        return fd
    finally:
        directory.close()
