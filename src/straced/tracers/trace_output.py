"""The file of a full trace: made by us, for us alone, never through a link, never over somebody's data by accident.

A trace holds what programs read and write, secrets included, hence 0600. The tracer gets the descriptor: a name
given to ``strace -o`` would follow links, truncate, and run a shell for ``|cmd`` and ``!cmd`` (S6 to S8).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from straced.errors import OutputError, OutputExists
from straced.scrub import scrub

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TraceOutput:
    """A file being written. :meth:`commit` gives it its name, :meth:`discard` leaves nothing of it."""

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        """Create the file, and the folders above it.

        Raises:
            OutputExists: there is one already, and ``overwrite`` is off.
            OutputError: a folder, FIFO, device or link of that name; or it cannot be made.
        """
        self.path = path
        self._replaces = _check_existing(path, overwrite)
        self._made: list[Path] = []
        self._written = path
        try:
            self._make_folders(path.parent)
            if self._replaces:
                self._written = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
            self.fd = os.open(self._written, _FLAGS, 0o600)
        except OSError as error:
            self._remove_folders()
            if error.errno == errno.EEXIST and not overwrite:
                raise OutputExists(f"{scrub(str(path))} exists", hint="choose another name, or --overwrite") from error
            raise OutputError(f"{scrub(str(path))} cannot be written: {error.strerror}") from error

    def commit(self) -> None:
        """The attachment stands: an old file of that name makes way, in one step."""
        if self._replaces:
            os.rename(self._written, self.path)
            self._written, self._replaces = self.path, False

    def discard(self) -> None:
        """Nothing was traced: no file, and no folder that was not there before."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self.fd), os.lstat(self._written)):
                os.unlink(self._written)
        self._remove_folders()
        self.close()

    def close(self) -> None:
        """Close the descriptor; the file stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _make_folders(self, folder: Path) -> None:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            self._made.append(path)

    def _remove_folders(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                path.rmdir()
        self._made = []


def _check_existing(path: Path, overwrite: bool) -> bool:
    """Whether a regular file of that name is there, and may be replaced."""
    shown = scrub(str(path))
    if not path.name or path.name in (".", ".."):
        raise OutputError(f"{shown} is not the name of a file")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise OutputError(f"{shown} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"{shown} is a folder", hint="name a file in it")
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "a FIFO" if stat.S_ISFIFO(mode) else "not a regular file"
        raise OutputError(f"{shown} is {kind}", hint="a full trace goes into a regular file of its own")
    if not overwrite:
        raise OutputExists(f"{shown} exists", hint="choose another name, or --overwrite")
    return True
