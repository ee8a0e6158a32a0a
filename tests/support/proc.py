"""What /proc says, read independently of the code under test."""

from __future__ import annotations

import os
from typing import NamedTuple


class Task(NamedTuple):
    """One thread: its state letter and who traces it (0: nobody)."""

    state: str
    tracer: int


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the comm: state, ppid, pgrp, session, ...; empty when gone."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return []


def state(pid: int) -> str:
    """The state letter of the leader, ``""`` when gone."""
    fields = stat(pid)
    return fields[0] if fields else ""


def alive(pid: int) -> bool:
    """There, and not a zombie."""
    return state(pid) not in ("", "Z", "X")


def start_ticks(pid: int) -> int:
    """Field 22, or 0 when gone."""
    fields = stat(pid)
    return int(fields[19]) if fields else 0


def parent(pid: int) -> int:
    """The parent's pid, or 0."""
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def session(pid: int) -> int:
    """The session id, or 0."""
    fields = stat(pid)
    return int(fields[3]) if fields else 0


def status(pid: int, key: str) -> str:
    """One value of /proc/PID/status, ``""`` when there is none."""
    try:
        for line in _read(f"/proc/{pid}/status").split("\n"):
            if line.startswith(f"{key}:"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def tracer(pid: int) -> int:
    """TracerPid of the leader, 0 when gone or untraced."""
    return int(status(pid, "TracerPid") or 0)


def switches(pid: int) -> int:
    """How often the leader was taken off a CPU: a task for which it stays the same has not run."""
    return int(status(pid, "voluntary_ctxt_switches") or 0) + int(status(pid, "nonvoluntary_ctxt_switches") or 0)


def tasks(pid: int) -> dict[int, Task]:
    """All threads of a process that still run."""
    found = {}
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return {}
    for name in names:
        try:
            lines = dict(
                line.split(":", 1) for line in _read(f"/proc/{pid}/task/{name}/status").split("\n") if ":" in line
            )
        except OSError:
            continue
        letter = lines["State"].split()[0]
        if letter not in "ZX":
            found[int(name)] = Task(letter, int(lines["TracerPid"]))
    return found


def pids() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def children(pid: int) -> list[int]:
    """Direct children, zombies included."""
    return [other for other in pids() if parent(other) == pid]


def offspring(pid: int) -> set[int]:
    """As the kernel lists children: quick where thousands of others run. One that ends may hide another."""
    found: set[int] = set()
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            found.update(map(int, _read(f"/proc/{pid}/task/{tid}/children").split()))
    except OSError:  # gone, or a kernel that lists nobody's
        return set(children(pid))
    return found


def held(pid: int) -> bool:
    """Whether every thread has a tracer that waits for it: one that runs may yet have to interrupt what it seized."""
    found = tasks(pid).values()
    return bool(found) and all(task.tracer and state(task.tracer) == "S" for task in found)


def descendants(pid: int) -> list[int]:
    """All below, zombies included."""
    parents: dict[int, list[int]] = {}
    for other in pids():
        parents.setdefault(parent(other), []).append(other)
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def comm(pid: int) -> str:
    """The name of a process, ``""`` when gone."""
    try:
        return _read(f"/proc/{pid}/comm").rstrip("\n")
    except OSError:
        return ""


def cmdline(pid: int) -> list[str]:
    """The command line, empty when gone."""
    try:
        return _read(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    except OSError:
        return []


def environ_has(pid: int, entry: str) -> bool:
    """Whether a process was started with ``NAME=value``."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry.encode() in file.read().split(b"\0")
    except OSError:
        return False


def fds(pid: int | str = "self") -> dict[int, str]:
    """Open descriptors and what they name (a reader of its own directory sees one more, left out here)."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
    return found
