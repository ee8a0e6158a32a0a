"""The directory of a file, opened step by step, so that nobody who may write above it leads us elsewhere.

The kernel guards links in sticky directories only where fs.protected_symlinks is on, which is a setting. Here each link
on the way is looked at, whatever is set; and what is done below goes by the descriptor of the directory, so that a
directory that is swapped afterwards is not met again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

MAX_LINKS = 40
"""As the kernel has it (path_resolution(7))."""
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LINK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class OpenedDirectory:
    """A directory that is held by a descriptor, for use with ``dir_fd``.

    Args:
        path: of the directory. Links on the way are followed unless somebody else planted them.
        make: make the directories that are missing, mode 0700; :meth:`unmake` removes them again.

    Raises:
        FileNotFoundError, NotADirectoryError: its ``filename`` says what is missing, or no directory.
        PermissionError: a link on the way is another user's, in a directory that everybody may write to.
        OSError: any other refusal of the kernel.
        ValueError: the path has a NUL in it.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self._made: list[tuple[int, str]] = []
        """Directories made: the descriptor of the one above, and the name."""
        self.fd = os.open("/" if path.is_absolute() else ".", _DIRECTORY)
        try:
            self._walk(path, make)
        except BaseException:
            self.unmake()
            self.close()
            raise

    def stat(self, name: str) -> os.stat_result:
        """What stands under a name; a link is not followed."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def is_planted(self, found: os.stat_result) -> bool:
        """Whether an entry may be a trap: another user's, or a second name of a file, where everybody may make names.

        The owner of the directory may be trusted as far as the directory itself.
        """
        directory = os.fstat(self.fd)
        if not directory.st_mode & stat.S_IWOTH:
            return False
        shared = stat.S_ISREG(found.st_mode) and found.st_nlink > 1
        return shared or found.st_uid not in (os.geteuid(), directory.st_uid)

    def unmake(self) -> None:
        """Remove the directories that were made, as far as nothing has been put into them."""
        for fd, name in reversed(self._made):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=fd)
        self.keep()

    def keep(self) -> None:
        """The directories that were made stay."""
        for fd, _name in self._made:
            os.close(fd)
        self._made = []

    def close(self) -> None:
        """Let go of the descriptor."""
        self.keep()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _walk(self, path: Path, make: bool) -> None:
        rest = [name for name in reversed(path.parts) if name.strip("/")]
        asked = len(rest)
        """Names left that stand in ``path``; the others come from links, and what these name is never made."""
        links = 0
        while rest:
            name = rest.pop()
            is_asked = len(rest) < asked
            asked = min(asked, len(rest))
            try:
                self._enter(name, os.O_NOFOLLOW)
            except FileNotFoundError as error:
                if not (make and is_asked):
                    raise FileNotFoundError(error.errno, error.strerror, _until(path, asked)) from None
                self._make(name)
            except NotADirectoryError as error:
                target = self._link(name)
                links += 1
                if target is None:
                    raise NotADirectoryError(error.errno, error.strerror, _until(path, asked)) from None
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
                if target == "":
                    self._enter(name)
                    continue
                if target.startswith("/"):
                    self._enter("/")
                rest.extend(part for part in reversed(target.split("/")) if part)

    def _enter(self, name: str, flags: int = 0) -> None:
        below = os.open(name, _DIRECTORY | flags, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = below

    def _make(self, name: str) -> None:
        with contextlib.suppress(FileExistsError):  # somebody was faster; what it is shows when it is entered
            os.mkdir(name, 0o700, dir_fd=self.fd)
            self._made.append((os.dup(self.fd), name))
        self._enter(name, os.O_NOFOLLOW)

    def _link(self, name: str) -> str | None:
        """Where a link leads; ``None`` for what is no link, ``""`` for one that only the kernel can follow."""
        fd = os.open(name, _LINK, dir_fd=self.fd)
        try:
            found = os.fstat(fd)
            if not stat.S_ISLNK(found.st_mode):
                return None
            if self.is_planted(found):
                raise PermissionError(errno.EACCES, "a link on the way is another user's", name)
            if _is_proc(found):
                return ""  # /proc/PID/root and its like lead where no name leads, and nobody can plant them
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)


def _is_proc(found: os.stat_result) -> bool:
    try:
        return found.st_dev == os.stat("/proc").st_dev
    except OSError:
        return False


def _until(path: Path, left: int) -> str:
    """The path without its last ``left`` names."""
    return str(Path(*path.parts[: len(path.parts) - left]))
