"""The control groups that a process is in, its own and those above, with their files (cgroups(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec import Struct

from straced.linux import cgroups
from straced.linux.procfs import Gone
from straced.text.sanitize import scrub
from straced.waits.facts.proc import ProcReader

MAX_DEPTH = 64


class CgroupFolder(Struct, frozen=True):
    """One group in the hierarchy of one controller."""

    name: str
    """As /proc/PID/cgroup has it, scrubbed."""
    folder: str
    v2: bool

    def text(self, file: str) -> str:
        """A file of it, ``""`` where there is none or it may not be read."""
        return read(self.path(file))

    def number(self, file: str) -> int | None:
        """The number in a file; ``None`` for ``max``, -1, or no such file."""
        word = self.text(file).strip()
        return int(word) if word.isdecimal() else None

    def path(self, file: str) -> str:
        """The path of a file of it."""
        return f"{self.folder}/{file}"


def groups_of(proc: ProcReader, pid: int, controller: str) -> tuple[CgroupFolder, ...]:
    """The groups of a process for a controller of version 1, or those of version 2, from its own upwards.

    The root of a hierarchy has no limits and is left out. Where a controller is mounted as version 1, version 2 does
    not serve it.
    """
    return proc.cached(f"groups {controller}", pid, lambda: tuple(_groups(proc, pid, controller)))


def _groups(proc: ProcReader, pid: int, controller: str) -> Iterator[CgroupFolder]:
    members, mounted = proc.cached("cgroups", pid, lambda: _memberships(proc, pid))
    old = [each for each in mounted if controller in each.controllers]
    hierarchy = next(iter(old or [each for each in mounted if not each.controllers]), None)
    if hierarchy is None:
        return
    wanted = controller if hierarchy.controllers else None
    at = next((path for names, path in members if (wanted in names if wanted else not names)), "/")
    at = at.removesuffix(" (deleted)")
    for _ in range(MAX_DEPTH):
        folder = cgroups.folder(at, hierarchy)
        if at in ("", "/") or at.startswith("/..") or folder == hierarchy.mount:
            return
        yield CgroupFolder(scrub(at), folder, not hierarchy.controllers)
        at = os.path.dirname(at)


def _memberships(proc: ProcReader, pid: int) -> tuple[list[tuple[frozenset[str], str]], tuple[cgroups.Hierarchy, ...]]:
    try:
        return cgroups.memberships(pid, proc.root), cgroups.hierarchies(proc.root)
    except (Gone, OSError):
        return [], ()


def read(path: str) -> str:
    """A small file, ``""`` where there is none or it may not be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(65536).decode("utf-8", "replace")
    except OSError:
        return ""


def counters(text: str) -> dict[str, int]:
    """The whole numbers of a file of counters.

    ``nr_throttled 4`` is under ``nr_throttled``; ``some avg10=0.00 total=12`` under ``some total``;
    ``8:0 rbytes=5`` under ``8:0 rbytes``; ``8:0 Read 5`` under ``8:0 Read``.
    """
    found = {}
    for line in text.splitlines():
        words = line.split()
        pairs = [word.partition("=") for word in words[1:] if "=" in word]
        for key, _, value in pairs:
            if value.isdecimal():
                found[f"{words[0]} {key}"] = int(value)
        if not pairs and len(words) in (2, 3) and words[-1].isdecimal():
            found[" ".join(words[:-1])] = int(words[-1])
    return found
