"""Which file system and device a path is on, from /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re

from msgspec import Struct

from straced.text.sanitize import scrub_bytes
from straced.waits.facts.proc import ProcReader

_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Mount(Struct, frozen=True, kw_only=True):
    """One mount of a process's mount namespace; the texts are scrubbed."""

    device: tuple[int, int]
    point: str
    kind: str
    """``ext4``, ``nfs4``, ``fuse.sshfs``, ``overlay``."""
    source: str
    """A device, ``server:/export``, or any word where there is no device."""

    @property
    def is_fuse(self) -> bool:
        """Whether a process of this machine serves it."""
        return self.kind == "fuse" or self.kind.startswith("fuse.")

    def text(self) -> str:
        """``nfs4 server:/export at /srv``."""
        major, minor = self.device
        what = self.source if self.source.startswith("/") or ":" in self.source else f"device {major}:{minor}"
        return f"{self.kind} {what} at {self.point}"


def mounts(proc: ProcReader, pid: int) -> dict[int, Mount]:
    """The mounts of a process by their id; empty when they cannot be read."""

    def make() -> dict[int, Mount]:
        found = {}
        for line in (proc.optional(pid, "mountinfo") or b"").split(b"\n"):
            before, dash, after = line.partition(b" - ")
            fields, rest = before.split(b" "), after.split(b" ")
            if not dash or len(fields) < 5 or len(rest) < 2:
                continue
            major, _, minor = fields[2].partition(b":")
            found[int(fields[0])] = Mount(
                device=(int(major), int(minor)), point=_text(fields[4]), kind=_text(rest[0]), source=_text(rest[1])
            )
        return found

    return proc.cached("mounts", pid, make)


def _text(word: bytes) -> str:
    return scrub_bytes(_ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), word))
