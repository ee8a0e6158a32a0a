"""Control groups: who is in one, which one a process is in, and whether it is frozen. Both kinds, v1 and v2.

Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/freezer-subsystem.rst of the kernel.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Generator, Iterator
from typing import NamedTuple

from straced.linux import procfs
from straced.text.sanitize import scrub

MAX_FOLDERS = 100_000
"""A hierarchy is not searched further than this."""
MAX_DEPTH = 64
MAX_PROCS_BYTES = 64 << 20


class Hierarchy(NamedTuple):
    """A mounted hierarchy: the controllers it serves (empty for v2) and where it is."""

    mount: str
    controllers: frozenset[str]
    base: str
    """The group that is shown at the mount point; ``/`` unless a container shows a part only."""


@functools.cache
def hierarchies(root: str = procfs.ROOT) -> tuple[Hierarchy, ...]:
    """The mounted hierarchies, v2 first, as /proc/self/mountinfo has them (proc(5))."""
    found = []
    for line in procfs.read("self/mountinfo", root).decode("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        fields = before.split()
        if kind not in ("cgroup", "cgroup2") or len(fields) < 5:
            continue
        words = options.rpartition(" ")[2].split(",") if kind == "cgroup" else []
        found.append(Hierarchy(_unescape(fields[4]), frozenset(words), _unescape(fields[3])))
    return tuple(sorted(found, key=lambda each: bool(each.controllers)))


def _unescape(path: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def kind(root: str = procfs.ROOT) -> str:
    """``v2``, ``v1``, ``hybrid`` (v1 with a v2 tree beside it) or ``none``."""
    versions = {bool(each.controllers) for each in hierarchies(root)}
    return {(): "none", (False,): "v2", (True,): "v1"}.get(tuple(sorted(versions)), "hybrid")


def memberships(pid: int | str, root: str = procfs.ROOT) -> list[tuple[frozenset[str], str]]:
    """The groups of a process, one a hierarchy: its controllers (empty for v2) and the path."""
    lines = procfs.read(f"{pid}/cgroup", root).decode("utf-8", "surrogateescape").splitlines()
    fields = (line.split(":", 2) for line in lines)
    return [(frozenset(filter(None, names.split(","))), path) for _, names, path in fields]


def folder(group: str, hierarchy: Hierarchy) -> str:
    """Where a group is in the file system."""
    below = group[len(hierarchy.base) :] if hierarchy.base != "/" and group.startswith(hierarchy.base) else group
    return hierarchy.mount if below in ("", "/") else f"{hierarchy.mount}/{below.lstrip('/')}"


class GroupPlace(NamedTuple):
    """A group of a process, in the hierarchy that serves a controller."""

    group: str
    folder: str
    v2: bool


def upwards(pid: int | str, controller: str, root: str = procfs.ROOT) -> list[GroupPlace]:
    """The groups of a process for a controller, from its own up to the root, which has no limits and is left out.

    Where a controller is mounted as version 1, version 2 does not serve it.
    """
    members, mounted = memberships(pid, root), hierarchies(root)
    serving = [each for each in mounted if controller in each.controllers]
    hierarchy = next(iter(serving or [each for each in mounted if not each.controllers]), None)
    if hierarchy is None:
        return []
    ours = (path for names, path in members if (controller in names if hierarchy.controllers else not names))
    at = next(ours, "/").removesuffix(" (deleted)")
    found: list[GroupPlace] = []
    while at not in ("", "/") and not at.startswith("/..") and len(found) < MAX_DEPTH:
        place = folder(at, hierarchy)
        if place == hierarchy.mount:
            break
        found.append(GroupPlace(at, place, not hierarchy.controllers))
        at = os.path.dirname(at)
    return found


def frozen_by(pid: int, root: str = procfs.ROOT) -> str | None:
    """The group that keeps a process frozen (or is about to), or ``None``."""
    for names, group in memberships(pid, root):
        for hierarchy in hierarchies(root):
            if names and "freezer" in names & hierarchy.controllers:
                if _read(f"{folder(group, hierarchy)}/freezer.state").strip() in (b"FROZEN", b"FREEZING"):
                    return scrub(group)
            elif (
                not names
                and not hierarchy.controllers
                and b"frozen 1" in _read(f"{folder(group, hierarchy)}/cgroup.events")
            ):
                return scrub(group)
    return None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096)
    except OSError:
        return b""


def processes(group: str, root: str = procfs.ROOT) -> list[int]:
    """All processes in a group and in those below it; a path below a mount point is understood, too."""
    return sorted({pid for pid in each_process(group, root) if pid})


def each_process(group: str, root: str = procfs.ROOT) -> Iterator[int]:
    """:func:`processes` as they are found, and a 0 for each directory that was read: a place to do something else."""
    for hierarchy in hierarchies(root):
        path = group if f"{group}/".startswith(f"{hierarchy.mount}/") else folder(group, hierarchy)
        found = False
        for number, (place, _, files) in enumerate(os.walk(path)):
            yield 0
            if number > MAX_FOLDERS:
                break
            if "cgroup.procs" in files:
                for word in _whole(f"{place}/cgroup.procs").split():
                    if pid := int(word):  # 0: a process of an outer PID namespace
                        found = True
                        yield pid
        if found:
            break


def _whole(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_PROCS_BYTES)
    except OSError:  # removed meanwhile, or a threaded group (EOPNOTSUPP)
        return b""


def find_unit(unit: str, root: str = procfs.ROOT) -> list[str]:
    """The groups named as a systemd unit: one, or one a user manager that runs a unit of this name."""
    return find_units({unit}, root)[unit]


def find_units(units: Collection[str], root: str = procfs.ROOT) -> dict[str, list[str]]:
    """:func:`find_unit` of several, by one walk."""
    walk = find_units_stepwise(units, root)
    while True:
        try:
            next(walk)
        except StopIteration as done:
            result: dict[str, list[str]] = done.value
            return result


def find_units_stepwise(units: Collection[str], root: str = procfs.ROOT) -> Generator[None, None, dict[str, list[str]]]:
    """:func:`find_units`, with a step a directory: there may be a hundred thousand."""
    found: dict[str, list[str]] = {unit: [] for unit in units}
    for hierarchy in hierarchies(root):
        if hierarchy.controllers and "name=systemd" not in hierarchy.controllers:
            continue
        missing = {unit for unit, groups in found.items() if not groups}
        for number, (place, folders, _) in enumerate(os.walk(hierarchy.mount)):
            yield
            if os.path.basename(place) in missing:
                found[os.path.basename(place)].append(place.removeprefix(hierarchy.mount) or "/")
                folders.clear()
            if number > MAX_FOLDERS:
                break
        if all(found.values()):
            break
    return {unit: sorted(groups) for unit, groups in found.items()}
