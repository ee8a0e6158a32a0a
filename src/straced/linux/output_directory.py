"""A directory of files that belong together: it appears complete, or not at all, and is its owner's alone."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from straced.errors import OutputExists
from straced.linux.output_file import temporary_name
from straced.linux.output_refusals import directory_of, refused
from straced.text.sanitize import scrub

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OutputDirectory:
    """Room to work in beside ``path``, for a ``with`` block; :meth:`commit` makes a directory in it the result.

    Args:
        path: the name that the result will have. As for :class:`straced.linux.output_file.OutputFile`.

    Raises:
        OutputExists: there is something of that name.
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._name = temporary_name()
        self._above = directory_of(path, what="made")
        try:
            with contextlib.suppress(FileNotFoundError):
                self._above.stat(path.name)
                raise OutputExists(f"{scrub(str(path))} exists", hint="choose a new directory")
            os.mkdir(self._name, 0o700, dir_fd=self._above.fd)
            self._fd = os.open(self._name, _FLAGS, dir_fd=self._above.fd)
            if os.fstat(self._fd).st_uid != os.geteuid():
                raise PermissionError(0, "the directory was exchanged for another")
        except OSError as error:
            self.discard()
            raise refused(path, error, "made") from error
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    @property
    def inside(self) -> Path:
        """The room, by its descriptor: whoever renames directories meanwhile leads nobody elsewhere."""
        return Path(f"/proc/self/fd/{self._fd}")

    def commit(self, name: str) -> None:
        """Give the directory ``name`` in the room its own name, private with all that is in it.

        Raises:
            OutputError: it cannot have it.
        """
        for _root, _directories, files, fd in os.fwalk(name, dir_fd=self._fd):
            os.fchmod(fd, 0o700)
            for file in files:
                os.chmod(file, 0o600, dir_fd=fd)
        try:
            os.rename(name, self.path.name, src_dir_fd=self._fd, dst_dir_fd=self._above.fd)
        except OSError as error:
            raise refused(self.path, error, "made") from error

    def discard(self) -> None:
        """Remove the room, and close. What was committed stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._above.fd >= 0:
            shutil.rmtree(self._name, ignore_errors=True, dir_fd=self._above.fd)
            self._above.close()
