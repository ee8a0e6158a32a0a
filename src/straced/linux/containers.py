"""Which container and pod a process is in, by the names that runtimes give to its cgroup.

Seen: Docker (``/docker/ID``, ``docker-ID.scope``), containerd (``cri-containerd-ID.scope``, ``nerdctl-ID.scope``,
``/NAMESPACE/ID``), Podman (``libpod-ID.scope``, ``/libpod_parent/libpod-ID``), CRI-O (``crio-ID.scope``), and below
Kubernetes the pod's ``kubepods-burstable-podUID.slice`` or ``/kubepods/burstable/podUID``, where a container may be
named by its id alone. What a runtime runs beside a container (``libpod-conmon-ID.scope``) is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from straced.linux import cgroups, procfs

_ID = r"[0-9a-f]{64}"
_SCOPE = re.compile(rf"(?P<runtime>docker|cri-containerd|nerdctl|libpod|crio)-(?P<id>{_ID})(?:\.scope)?(?:-\d+)?")
_BARE = re.compile(_ID)
_UID = r"[0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12}|[0-9a-f]{32}"
_POD = re.compile(rf"(?:kubepods(?:-\w+)?-)?pod({_UID})(?:\.slice)?")
_RUNTIMES = {"cri-containerd": "containerd", "nerdctl": "containerd", "libpod": "podman", "crio": "cri-o"}
SHORT = 12
"""As many characters of an id do runtimes show."""


class Container(NamedTuple):
    """A container, by its cgroup."""

    id: str
    runtime: str
    """``docker``, ``containerd``, ``podman``, ``cri-o``, or ``""`` where the cgroup does not tell."""
    pod_uid: str = ""
    """The uid of its Kubernetes pod, with hyphens; ``""`` without one."""

    @property
    def short(self) -> str:
        """The id as runtimes show it."""
        return self.id[:SHORT]


def in_path(path: str) -> list[Container]:
    """The containers that a cgroup is in, the outermost first: there may be one in another."""
    found: list[Container] = []
    pod = before = ""
    for part in path.split("/"):
        if match := _POD.fullmatch(part):
            pod = _uid(match[1])
        elif match := _SCOPE.fullmatch(part):
            found.append(Container(match["id"], _RUNTIMES.get(match["runtime"], match["runtime"]), pod))
        elif _BARE.fullmatch(part) and part not in {each.id for each in found}:
            found.append(Container(part, "docker" if before == "docker" else "", pod))
        before = part
    return found


def _uid(text: str) -> str:
    bare = re.sub("[-_]", "", text)
    if len(text) == 32:  # of a static pod: the hash of its file
        return text
    return "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:]))


def around(pid: int, root: str = procfs.ROOT) -> list[Container]:
    """The containers that a process is in, the outermost first.

    Raises:
        Gone: there is no such process.
    """
    paths = (path.removesuffix(" (deleted)") for _, path in cgroups.memberships(pid, root))
    return max(map(in_path, paths), key=len, default=[])


def everybody(root: str = procfs.ROOT) -> Iterator[tuple[int, list[Container]]]:
    """Every process that is in a container."""
    for pid in procfs.pids(root):
        try:
            found = around(pid, root)
        except (procfs.Gone, OSError, ValueError):
            continue
        if found:
            yield pid, found


def inner_pid(pid: int, root: str = procfs.ROOT) -> int | None:
    """The pid that a process has in its own PID namespace; ``None`` where that is ours, or cannot be known."""
    try:
        numbers = procfs.status(pid, root)["NSpid"].split()
    except (procfs.Gone, OSError, KeyError):
        return None
    return int(numbers[-1]) if len(numbers) > 1 else None
