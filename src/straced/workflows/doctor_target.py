"""What is good to know of a process before it is traced; no right to trace it is needed to find out."""

from __future__ import annotations

import os

from straced.linux import procfs
from straced.linux.container_matching import ContainerMatcher
from straced.model.diagnosis import DoctorCheck
from straced.model.types import Target

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "in uninterruptible sleep",
    "T": "stopped",
    "t": "stopped by its tracer",
    "Z": "zombie",
}
MAX_DESCRIPTORS = 5000


def describe(target: Target, root: str = procfs.ROOT) -> str:
    """Who the target is, in one line."""
    facts = procfs.stat(target.pid, root)
    threads = len(procfs.tasks(target.pid, root))
    below = len(procfs.descendants(target.pid, root))
    parts = [f"{target.pid} ({target.comm})", f"uid {target.uid}", STATES.get(facts.state, facts.state)]
    parts.append(f"{threads} thread{'s' * (threads != 1)}")
    parts.append(f"{below} descendant{'s' * (below != 1)}")
    return ", ".join(parts)


def about(target: Target, root: str = procfs.ROOT) -> tuple[DoctorCheck, ...]:
    """What is good to know of a target before it is traced."""
    lines = procfs.status(target.pid, root)
    found = []
    containers = ContainerMatcher(root)
    if (name := containers.name(inside := containers.inside(target.pid))) is not None:
        detail = f"{inside[-1].runtime or 'of an unknown runtime'}, {name}, {inside[-1].short}"
        found.append(DoctorCheck(name="container", state="info", detail=detail))
    if len(inner := lines.get("NSpid", "").split()) > 1:
        detail = f"in a PID namespace of its own, as pid {inner[-1]}; here its pid is {target.pid}"
        found.append(DoctorCheck(name="namespace", state="info", detail=detail))
    if lines.get("Seccomp") == "2":
        detail = "it has a seccomp filter: calls that it denies are counted as errors"
        found.append(DoctorCheck(name="seccomp", state="info", detail=detail))
    if (rings := _io_urings(target.pid, root)) is None:
        found.append(DoctorCheck(name="io_uring", state="info", detail="its descriptors may not be read"))
    elif rings:
        detail = f"it has {rings}: what goes through is unseen, unless attach --io-uring asks for it"
        found.append(DoctorCheck(name="io_uring", state="limited", detail=detail))
    return tuple(found)


def _io_urings(pid: int, root: str) -> int | None:
    try:
        names = os.listdir(f"{root}/{pid}/fd")[:MAX_DESCRIPTORS]
    except OSError:
        return None
    return sum(_is_ring(f"{root}/{pid}/fd/{name}") for name in names)


def _is_ring(link: str) -> bool:
    try:
        return os.readlink(link) == "anon_inode:[io_uring]"
    except OSError:
        return False
