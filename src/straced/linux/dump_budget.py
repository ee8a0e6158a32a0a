"""The files that dumps leave in a directory: bounded together in bytes and days, the oldest go."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

from straced.errors import OutputError
from straced.text.sanitize import scrub
from straced.text.units import format_bytes

_NAME = re.compile(r"[a-z_]+-\d+-\d{8}T\d{6}(?:-\d+)?\.strc")
_UNFINISHED = re.compile(r"\.straced-\d+-[0-9a-f]{16}\.partial")
"""As :func:`straced.linux.output_file.temporary_name` has it."""
_MOST_NAMES = 1000
_COARSE_S = 1.0
"""Times of files are behind the clock by a tick of the kernel."""


class DumpFolder:
    """A directory for dumps whose names are made here; files of other names in it are left alone.

    Args:
        folder: it is made with the first dump, mode 0700.
        max_bytes: of all dumps in it.
        max_days: how old one may become.
        clock: seconds since the epoch.
        alone: nobody else writes there: what was begun before, and not finished, is of one who was killed, and goes.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        max_days: float,
        clock: Callable[[], float] = time.time,
        *,
        alone: bool = False,
    ) -> None:
        self._alone_since = clock() if alone else None
        self.folder = folder
        self.max_bytes, self.max_days = max_bytes, max_days
        self._clock = clock

    def new(self, what: str, pid: int, wanted_bytes: int) -> Path:
        """A name for a dump, once there is room for it.

        Args:
            what: why it is taken: lower-case letters.
            pid: whose calls it has.
            wanted_bytes: how large it will be at most.

        Raises:
            OutputError: it is larger than all dumps together may be, or the directory refuses.
        """
        if wanted_bytes > self.max_bytes:
            raise OutputError(
                f"a dump of {format_bytes(wanted_bytes)} is more than all dumps may be: {format_bytes(self.max_bytes)}",
                hint="a larger budget, or smaller rings",
            )
        try:
            self.keep_within(self.max_bytes - wanted_bytes)
        except OSError as error:
            raise OutputError(f"{scrub(str(self.folder))}: {error.strerror}") from error
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._clock()))
        name = f"{what}-{pid}-{stamp}"
        for number in range(_MOST_NAMES):
            path = self.folder / (f"{name}-{number}.strc" if number else f"{name}.strc")
            if not os.path.lexists(path):
                return path
        raise OutputError("too many dumps in one second", hint="one is enough")

    def keep_within(self, most_bytes: int) -> list[Path]:
        """Remove what is too old, and the oldest until the others are no more than this; returns what went."""
        gone = [] if self._alone_since is None else remove_unfinished(self.folder, self._alone_since)
        found = self._dumps()
        used = sum(size for _when, size, _path in found)
        oldest = self._clock() - self.max_days * 86400
        for when, size, path in found:
            if used <= most_bytes and when >= oldest:
                continue
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                gone.append(path)
            used -= size
        return gone

    def _dumps(self) -> list[tuple[float, int, Path]]:
        """Our own regular files, the oldest first."""
        found = []
        try:
            names = sorted(name for name in os.listdir(self.folder) if _NAME.fullmatch(name))
        except FileNotFoundError:
            return []
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                about = os.lstat(self.folder / name)
                if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid():
                    found.append((about.st_mtime, about.st_size, self.folder / name))
        return sorted(found)


def remove_unfinished(folder: Path, before_s: float) -> list[Path]:
    """Remove what processes had not finished that were killed, in a directory where nobody else writes.

    Args:
        folder: the directory.
        before_s: since when nobody does (epoch); what was written later is being written.
    """
    gone: list[Path] = []
    try:
        names = [name for name in os.listdir(folder) if _UNFINISHED.fullmatch(name)]
    except FileNotFoundError:
        return gone
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            about = os.lstat(folder / name)
            if stat.S_ISREG(about.st_mode) and about.st_mtime < before_s - _COARSE_S:
                os.unlink(folder / name)
                gone.append(folder / name)
    return gone
