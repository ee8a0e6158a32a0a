"""Which processes ``name:GLOB``, ``cgroup:/path`` and ``unit:x.service`` mean, for a look at many at once."""

from __future__ import annotations

import fnmatch
import os

from straced import errors, procfs
from straced.procfs import Gone

_HINT = "give a pid, name:GLOB, cgroup:/path, unit:x.service, or --all"


def pids_of(text: str, root: str = procfs.ROOT) -> list[int]:
    """The processes that a target text means: one for a pid, any number for a pattern.

    Raises:
        InvalidArgument: neither a pid nor a pattern.
        NoSuchProcess: nothing matches the pattern.
    """
    kind, colon, pattern = text.partition(":")
    if text.isascii() and text.isdigit() and 0 < int(text) < 2**31:
        return [int(text)]
    if not colon or kind not in ("name", "cgroup", "unit") or not pattern:
        raise errors.InvalidArgument(f"{text!r} is not a target", hint=_HINT)
    found = [pid for pid in procfs.pids(root) if pid != os.getpid() and _matches(pid, kind, pattern, root)]
    if not found:
        raise errors.NoSuchProcess(f"no process matches {text!r}", hint="straced why --all lists all")
    return found


def _matches(pid: int, kind: str, pattern: str, root: str) -> bool:
    try:
        if kind == "name":
            return fnmatch.fnmatchcase(procfs.stat(pid, root).comm, pattern)
        paths = [
            os.fsdecode(line.split(b":", 2)[2]) for line in procfs.read(f"{pid}/cgroup", root).split(b"\n") if line
        ]
    except (Gone, OSError, IndexError):
        return False
    if kind == "unit":
        return any(pattern in path.split("/") for path in paths)
    wanted = "/" + pattern.strip("/")
    return any(path == wanted or path.startswith(wanted.rstrip("/") + "/") for path in paths)
