"""The control groups that a process is in, its own and those above, with their files (cgroups(7))."""

from __future__ import annotations

from msgspec import Struct

from straced.linux import cgroups
from straced.linux.procfs import Gone
from straced.text.sanitize import scrub
from straced.waits.facts.proc import ProcReader


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
    """The groups of a process for a controller, by its name in version 1; see :func:`straced.linux.cgroups.upwards`."""

    def make() -> tuple[CgroupFolder, ...]:
        try:
            found = cgroups.upwards(pid, controller, proc.root)
        except (Gone, OSError):
            return ()
        return tuple(CgroupFolder(scrub(group), folder, v2) for group, folder, v2 in found)

    return proc.cached(f"groups {controller}", pid, make)


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
