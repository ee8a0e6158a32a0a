"""Is a process frozen by its cgroup? Version 1 (freezer.state) and version 2 (cgroup.events); see cgroups(7)."""

from __future__ import annotations

import os

from straced import procfs
from straced.procfs import Gone
from straced.scrub import scrub_bytes
from straced.waits.proc import Proc


def frozen_by(proc: Proc, pid: int) -> str | None:
    """The cgroup that froze a process, as a path below the mount point; ``None`` when it is not frozen."""
    for line in (proc.optional(pid, "cgroup") or b"").split(b"\n"):
        hierarchy, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if not path.startswith(b"/") or path == b"/" or path.startswith(b"/.."):
            continue
        if hierarchy == b"0":
            found = proc.cached(f"frozen2{os.fsdecode(path)}", 0, lambda path=path: _frozen_v2(proc, path))  # type: ignore[misc]
        elif b"freezer" in controllers.split(b","):
            found = proc.cached(f"frozen1{os.fsdecode(path)}", 0, lambda path=path: _frozen_v1(proc, path))  # type: ignore[misc]
        else:
            continue
        if found is not None:
            return str(found)
    return None


def _frozen_v2(proc: Proc, path: bytes) -> str | None:
    mount = _mounts(proc).get("2")
    if mount is None or b"frozen 1" not in _read(mount + path + b"/cgroup.events"):
        return None
    return scrub_bytes(_topmost(mount, path, "cgroup.freeze", b"1"))


def _frozen_v1(proc: Proc, path: bytes) -> str | None:
    mount = _mounts(proc).get("1")
    if mount is None or not _read(mount + path + b"/freezer.state").startswith((b"FROZEN", b"FREEZING")):
        return None
    return scrub_bytes(_topmost(mount, path, "freezer.self_freezing", b"1"))


def _topmost(mount: bytes, path: bytes, name: str, value: bytes) -> bytes:
    """The cgroup on the way up that was told to freeze: thawing any other does not help."""
    found = at = path
    while len(at) > 1:
        if _read(mount + at + b"/" + name.encode()).strip() == value:
            found = at
        at = at[: at.rfind(b"/")]
    return found


def _mounts(proc: Proc) -> dict[str, bytes]:
    """Where the two versions are mounted: ``{"1": ..., "2": ...}``."""

    def make() -> dict[str, bytes]:
        table: dict[str, bytes] = {}
        try:
            lines = procfs.read("self/mountinfo", proc.root).split(b"\n")
        except (Gone, OSError):
            return table
        for line in lines:
            words, _, tail = line.partition(b" - ")
            fields, kind = words.split(), tail.split()
            if len(fields) > 4 and len(kind) > 2:
                if kind[0] == b"cgroup2":
                    table["2"] = fields[4]
                elif kind[0] == b"cgroup" and b"freezer" in kind[2].split(b","):
                    table["1"] = fields[4]
        return table

    return proc.cached("cgroup_mounts", 0, make)


def _read(path: bytes) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b""
