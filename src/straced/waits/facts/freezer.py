"""Is a process frozen by its cgroup? Version 1 (freezer.state) and version 2 (cgroup.events); see cgroups(7)."""

from __future__ import annotations

import os
import shlex

from straced.linux import procfs
from straced.linux.procfs import Gone
from straced.text.sanitize import scrub, scrub_bytes
from straced.waits.facts.proc import ProcReader


def frozen_by(proc: ProcReader, pid: int) -> str | None:
    """The cgroup that froze a process, as a path below the mount point; ``None`` when it is not frozen."""
    found = proc.cached("frozen", pid, lambda: _frozen(proc, pid))
    return scrub_bytes(found[1]) if found is not None else None


def thaw_line(proc: ProcReader, pid: int) -> str | None:
    """The line to type that thaws a frozen process; ``None`` where its cgroup has no name that can be typed."""
    found = _frozen(proc, pid)
    mount = _mounts(proc).get(found[0]) if found is not None else None
    if found is None or mount is None:
        return None
    name, word = {"1": ("freezer.state", "THAWED"), "2": ("cgroup.freeze", "0")}[found[0]]
    path = os.fsdecode(mount + found[1])
    if scrub(path) != path:
        return None
    return f"echo {word} | {'' if os.geteuid() == 0 else 'sudo '}tee {shlex.quote(f'{path}/{name}')}"


def _frozen(proc: ProcReader, pid: int) -> tuple[str, bytes] | None:
    """(version, the topmost cgroup that was told to freeze)."""
    for line in (proc.optional(pid, "cgroup") or b"").split(b"\n"):
        hierarchy, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if not path.startswith(b"/") or path == b"/" or path.startswith(b"/.."):
            continue
        if hierarchy != b"0" and b"freezer" not in controllers.split(b","):
            continue
        version = "2" if hierarchy == b"0" else "1"
        look = _frozen_v2 if version == "2" else _frozen_v1
        found = proc.cached(f"frozen{version}{os.fsdecode(path)}", 0, lambda path=path, look=look: look(proc, path))  # type: ignore[misc]
        if found is not None:
            return version, found
    return None


def _frozen_v2(proc: ProcReader, path: bytes) -> bytes | None:
    mount = _mounts(proc).get("2")
    if mount is None or b"frozen 1" not in _read(mount + path + b"/cgroup.events"):
        return None
    return _topmost(mount, path, "cgroup.freeze", b"1")


def _frozen_v1(proc: ProcReader, path: bytes) -> bytes | None:
    mount = _mounts(proc).get("1")
    if mount is None or not _read(mount + path + b"/freezer.state").startswith((b"FROZEN", b"FREEZING")):
        return None
    return _topmost(mount, path, "freezer.self_freezing", b"1")


def _topmost(mount: bytes, path: bytes, name: str, value: bytes) -> bytes:
    """The cgroup on the way up that was told to freeze: thawing any other does not help."""
    found = at = path
    while len(at) > 1:
        if _read(mount + at + b"/" + name.encode()).strip() == value:
            found = at
        at = at[: at.rfind(b"/")]
    return found


def _mounts(proc: ProcReader) -> dict[str, bytes]:
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
