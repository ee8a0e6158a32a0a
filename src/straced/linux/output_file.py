"""Every file that straced writes: new, private, whole or not at all, and never through what somebody else put there.

It is written without a name, and has its own when it is complete: what is read there is never half a file, and a full
disk or a kill leave the old one, and nothing else. Where the file system has no files without names it has a temporary
one meanwhile. Traces and reports hold what programs read and write, secrets
included, hence mode 0600. A tracer gets the descriptor: a name given to ``strace -o`` would follow links, truncate, and
run a shell for ``|cmd`` and ``!cmd``.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

from straced.errors import OutputError
from straced.linux.opened_directory import OpenedDirectory
from straced.linux.output_refusals import directory_of, occupied, refused
from straced.linux.output_stream import binary_stream, text_stream
from straced.text.sanitize import scrub

TEXTFILE_MODE = 0o644
"""Of metrics: the node exporter that reads them is another user."""
_NAMELESS = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
_NOT_HERE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""From a file system, or a kernel, that has no files without names."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPIED_BYTES = 1 << 30
"""At a time, where a file without a name cannot get one."""
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


class OutputFile:
    """A file being written: :meth:`commit` gives it its name, :meth:`discard` leaves nothing of it.

    A ``with`` block commits at its end; an exception in it discards what has no name by then.

    Args:
        path: the name that the file will have. Links on the way to it are followed, unless they are another user's in
            a directory that everybody may write to; a link of that name is refused.
        overwrite: a regular file of that name is replaced, in one step.
        mode: the permissions, whatever the umask.
        make_directories: make the directories above that are missing, mode 0700.

    Raises:
        OutputExists: there is one already, and ``overwrite`` is off.
        OutputError: a directory, FIFO, device or link of that name; or it cannot be made.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, mode: int = 0o600, make_directories: bool = False
    ) -> None:
        self.path = path
        self.fd = -1
        self._overwrite = overwrite
        self._directory: OpenedDirectory | None = None
        self._streams: list[IO[bytes] | IO[str]] = []
        self._name: str | None = None
        """What it is called now."""
        try:
            if not path.name or path.name == "..":
                raise OutputError(f"{scrub(str(path))} is not the name of a file")
            self._directory = directory_of(path, make=make_directories)
            self._check_existing(self._directory)
            self._open(self._directory)
            if mode != 0o600:
                os.fchmod(self.fd, mode)
        except (OSError, ValueError) as error:
            self.discard()
            raise refused(path, error) from error
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
            elif self._name != self.path.name:
                self.discard()
        finally:
            self.close()

    @functools.cached_property
    def binary(self) -> BinaryIO:
        """A stream of bytes into the file; its errors are ``OutputError``."""
        stream = binary_stream(self.fd, self.path)
        self._streams.append(stream)
        return stream

    @functools.cached_property
    def text(self) -> IO[str]:
        """A stream of text, UTF-8; its errors are ``OutputError``."""
        stream = text_stream(self.fd, self.path)
        self._streams.append(stream)
        return stream

    def commit(self) -> None:
        """Give the file its name, in one step; it may be written further. Idempotent, and nothing after a discard.

        Raises:
            OutputExists: somebody has made a file of that name meanwhile.
            OutputError: the disk is full, or the directory refuses. What was there before is there still.
        """
        if self.fd < 0:
            return
        try:
            for stream in self._streams:
                stream.flush()
            if self._name != self.path.name:
                self._rename()
        except OSError as error:
            self.discard()
            raise refused(self.path, error) from error
        except BaseException:
            self.discard()
            raise
        if self._directory is not None:
            self._directory.close()

    def discard(self) -> None:
        """Leave no file, and no directory that was not there before. After :meth:`commit`: no file."""
        with contextlib.suppress(OSError):
            if self.fd >= 0 and self._directory is not None:
                if self._directory.fd < 0:
                    self._directory = OpenedDirectory(self.path.parent)
                if self._name is not None and self._is_ours(self._name):
                    os.unlink(self._name, dir_fd=self._directory.fd)
        if self._directory is not None:
            self._directory.unmake()
        self.close()

    def close(self) -> None:
        """Close the descriptors; the file stays, under the name that it has."""
        for stream in self._streams:
            with contextlib.suppress(OSError, OutputError):  # of a commit all is written, of a discard nothing counts
                stream.close()
        if self._directory is not None:
            self._directory.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _open(self, directory: OpenedDirectory) -> None:
        try:
            self.fd = os.open(".", _NAMELESS, 0o600, dir_fd=directory.fd)
            if os.path.exists(self._magic):
                return
            os.close(self.fd)  # without /proc it could never have a name
            self.fd = -1
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
        self._name = temporary_name()
        self.fd = os.open(self._name, _FLAGS, 0o600, dir_fd=directory.fd)

    @property
    def _magic(self) -> str:
        """By which a file without a name gets one."""
        return f"/proc/self/fd/{self.fd}"

    def _check_existing(self, directory: OpenedDirectory) -> None:
        try:
            found = directory.stat(self.path.name)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise occupied(self.path, found.st_mode)
        if not self._overwrite:
            raise refused(self.path, FileExistsError())
        held = os.fstat(directory.fd)
        if held.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, held.st_uid):
            raise OutputError(f"{scrub(str(self.path))} is another user's", hint="choose another name")

    def _rename(self) -> None:
        """Give it its own name. Without ``overwrite`` nothing is ever replaced."""
        assert self._directory is not None
        at, name = self._directory.fd, self.path.name
        if self._overwrite:
            self._check_existing(self._directory)  # what has become of it meanwhile: a link is not ours to replace
            if self._name is None:  # only a rename replaces
                self._give_name(at, temporary_name())
            assert self._name is not None
            os.rename(self._name, name, src_dir_fd=at, dst_dir_fd=at)
        else:
            if self._name is None:
                self._give_name(at, name)
            if self._name != name:
                self._link(at, name)
        self._name = name
        if not self._is_ours(name):
            raise OutputError(f"{scrub(str(self.path))} was exchanged for another file while it was written")

    def _give_name(self, at: int, name: str) -> None:
        """Its first name; a temporary one where there are no hard links, and a copy has it."""
        try:
            os.link(self._magic, name, dst_dir_fd=at, follow_symlinks=True)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            name = temporary_name()
            copy = os.open(name, _FLAGS, 0o600, dir_fd=at)
            try:
                os.fchmod(copy, stat.S_IMODE(os.fstat(self.fd).st_mode))
                done = 0
                while count := os.sendfile(copy, self.fd, done, _COPIED_BYTES):
                    done += count
                os.dup2(copy, self.fd, inheritable=False)
            except OSError:
                os.unlink(name, dir_fd=at)
                raise
            finally:
                os.close(copy)
        self._name = name

    def _link(self, at: int, name: str) -> None:
        held = self._name
        assert held is not None
        try:
            os.link(held, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            # A file system without hard links: an empty file of ours holds the name, and makes way.
            os.close(os.open(name, _FLAGS, 0o600, dir_fd=at))
            try:
                os.rename(held, name, src_dir_fd=at, dst_dir_fd=at)
            except OSError:
                os.unlink(name, dir_fd=at)
                raise
        else:
            os.unlink(held, dir_fd=at)

    def _is_ours(self, name: str) -> bool:
        assert self._directory is not None
        return os.path.samestat(os.fstat(self.fd), self._directory.stat(name))


def temporary_name() -> str:
    """The name of a file that is not complete: known by it, should a kill leave one."""
    return f".straced-{os.getpid()}-{os.urandom(8).hex()}.partial"
