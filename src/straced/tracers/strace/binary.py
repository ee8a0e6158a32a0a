"""Which strace there is, and what it can do. Looked up when asked, so one that is installed later is noticed."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess

from msgspec import Struct

from straced.errors import StraceMissing, resources
from straced.linux import procfs

OLDEST = (4, 26)
"""``-A -o`` with a descriptor of ours and ``-c -w`` are older; tables of older versions were never looked at."""
_Key = tuple[str, int, int, int, int]
_examined: dict[_Key, Strace] = {}
ANSWER_S = 5.0
"""It has to say its version by then."""
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
    """The strace on PATH. Runs it once to ask for its version, and again only when the file has changed.

    Raises:
        StraceMissing: none, not executable, or too old.
        NoResources: it could not be asked.
    """
    key = _locate(search_path)
    known = _examined.get(key)
    if known is None:
        known = _examined[key] = _examine(key[0])
    return known


async def find_soon() -> Strace:
    """:func:`find`, without keeping the event loop waiting for a strace that has to be asked.

    Raises:
        StraceMissing: see :func:`find`.
    """
    known = _examined.get(_locate(None))
    return known if known is not None else await asyncio.to_thread(find)


def _locate(search_path: str | None) -> _Key:
    """Where it is, and which file that is now."""
    found = procfs.which("strace", search_path)
    if found is None:
        hint = "install it: apt-get install strace, or dnf install strace"
        raise StraceMissing("there is no strace on PATH", hint=hint)
    path = os.path.abspath(found)
    facts = os.stat(path)
    return path, facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size


def _examine(path: str) -> Strace:
    asked = [path, "-V"]
    try:
        with resources():
            output = subprocess.run(
                asked, capture_output=True, timeout=ANSWER_S, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"}
            ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StraceMissing(f"{path} cannot be run ({error})", hint="install a working strace") from error
    match = _VERSION.search(output)
    if match is None:
        raise StraceMissing(f"{path} does not say that it is strace", hint="install a working strace")
    version = int(match.group(1)), int(match.group(2))
    if version < OLDEST:
        raise StraceMissing(
            f"strace {version[0]}.{version[1]} is too old", hint=f"install strace {OLDEST[0]}.{OLDEST[1]} or later"
        )
    return Strace(path, version)
