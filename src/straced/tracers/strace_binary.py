"""Which strace there is, and what it can do. Looked up when asked, so one that is installed later is noticed."""

from __future__ import annotations

import functools
import os
import re
import subprocess

from msgspec import Struct

from straced import procfs
from straced.errors import StraceMissing

OLDEST = (4, 26)
"""``-A -o /dev/fd/N`` and ``-c -w`` are older; tables of older versions were never looked at."""
_VERSION = re.compile(rb"strace -- version (\d+)\.(\d+)")


class Strace(Struct, frozen=True):
    """A usable strace."""

    path: str
    version: tuple[int, int]

    @property
    def selects_columns(self) -> bool:
        """``-U`` (--summary-columns), since 5.7, gives the shortest and the longest call too."""
        return self.version >= (5, 10)


def find(search_path: str | None = None) -> Strace:
    """The strace on PATH.

    Raises:
        StraceMissing: none, not executable, or too old.
    """
    found = procfs.find_executable("strace", search_path)
    if found is None:
        raise StraceMissing(
            "there is no strace on PATH", hint="install it: apt-get install strace, or dnf install strace"
        )
    path = os.path.realpath(found)
    facts = os.stat(path)
    return _examine(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=8)
def _examine(path: str, _mtime_ns: int, _size: int) -> Strace:
    try:
        said = subprocess.run(
            [path, "-V"], capture_output=True, timeout=5, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StraceMissing(f"{path} cannot be run ({error})", hint="install a working strace") from error
    match = _VERSION.search(said)
    if match is None:
        raise StraceMissing(f"{path} does not say that it is strace", hint="install a working strace")
    version = int(match.group(1)), int(match.group(2))
    if version < OLDEST:
        raise StraceMissing(
            f"strace {version[0]}.{version[1]} is too old", hint=f"install strace {OLDEST[0]}.{OLDEST[1]} or later"
        )
    return Strace(path, version)
