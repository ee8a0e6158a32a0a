"""The names of containers and pods: from the sockets of Docker and Podman, and from what a kubelet leaves on disk.

containerd and CRI-O speak gRPC only; their pods are found where every kubelet writes their logs:
``/var/log/pods/NAMESPACE_NAME_UID`` and ``/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log``. A name that nobody
tells is left out: ids serve always.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from straced.linux.containers import Container
from straced.text.sanitize import scrub

TIMEOUT_S = 0.3
"""A socket that takes longer is not waited for."""
MAX_AGE_S = 10.0
MAX_BYTES = 16 << 20
LOGS = "/var/log"
_LOG = re.compile(r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<name>.+)-(?P<id>[0-9a-f]{64})\.log")
_POD = "io.kubernetes.pod"


class Name(NamedTuple):
    """What a container is called."""

    name: str
    pod: str = ""
    """``NAMESPACE/NAME``, or ``""``."""


class ContainerNames:
    """The names of the containers of this host, as they were at most ``MAX_AGE_S`` ago.

    Args:
        sockets: of Docker's API; by default those of root, and of the user who asks.
        logs: the directory with ``pods`` and ``containers`` of a kubelet.
    """

    def __init__(self, sockets: tuple[str, ...] | None = None, logs: str = LOGS) -> None:
        self._sockets = usual_sockets() if sockets is None else sockets
        self._logs = Path(logs)
        self._names: dict[str, Name] = {}
        self._pods: dict[str, str] = {}
        self._read_at: float | None = None

    def refresh(self) -> None:
        """Ask again, unless that has just been done."""
        now = time.monotonic()
        if self._read_at is not None and now - self._read_at < MAX_AGE_S:
            return
        self._pods = dict(self._of_pods())
        self._names = dict(self._of_logs())
        for path in self._sockets:
            self._names.update(of_engine(path))
        self._read_at = time.monotonic()

    def name_of(self, container: Container) -> str:
        """The name of a container, or its short id."""
        found = self._names.get(container.id)
        return found.name if found is not None and found.name else container.short

    def pod_of(self, container: Container) -> str:
        """``NAMESPACE/NAME`` of the pod of a container, its uid where no name is known; ``""`` without a pod."""
        found = self._names.get(container.id)
        return (found.pod if found is not None else "") or self._pods.get(container.pod_uid, container.pod_uid)

    def labels(self, container: Container) -> dict[str, str]:
        """Both, as labels."""
        pod = self.pod_of(container)
        return {"container": self.name_of(container), **({"pod": pod} if pod else {})}

    def _of_pods(self) -> Iterator[tuple[str, str]]:
        for entry in _entries(self._logs / "pods"):
            parts = entry.split("_")
            if len(parts) == 3:
                yield parts[2], scrub(f"{parts[0]}/{parts[1]}", 300)

    def _of_logs(self) -> Iterator[tuple[str, Name]]:
        for entry in _entries(self._logs / "containers"):
            if found := _LOG.fullmatch(entry):
                yield found["id"], Name(scrub(found["name"], 200), scrub(f"{found['namespace']}/{found['pod']}", 300))


def usual_sockets() -> tuple[str, ...]:
    """Where Docker and Podman listen: root's, and those of the user. A service of root asks nobody else's."""
    found = ["/run/docker.sock", "/run/podman/podman.sock"]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and runtime:
        found += [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"]
    return tuple(found)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def of_engine(path: str) -> Iterator[tuple[str, Name]]:
    """The names that a socket with Docker's API tells, of the containers that run."""
    import json

    try:
        listed = json.loads(_get(path, "/containers/json"))
    except (OSError, ValueError):
        return
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or not isinstance(each.get("Id"), str):
            continue
        names, labels = each.get("Names"), each.get("Labels")
        name = names[0].lstrip("/") if isinstance(names, list) and names and isinstance(names[0], str) else ""
        yield each["Id"], _name(name, labels if isinstance(labels, dict) else {})


def _name(name: str, labels: dict[str, Any]) -> Name:
    """Kubernetes tells its own names in labels; the engine's are made of them."""
    pod, namespace = labels.get(f"{_POD}.name"), labels.get(f"{_POD}.namespace")
    of_pod = f"{namespace}/{pod}" if pod and namespace else ""
    return Name(scrub(str(labels.get("io.kubernetes.container.name") or name), 200), scrub(of_pod, 300))


def _get(path: str, target: str) -> bytes:
    """One request of HTTP/1.0, within ``TIMEOUT_S``: the body. 1.0 has neither chunks nor a connection to keep.

    Raises:
        OSError: nobody listens, or takes too long, or says no.
    """
    import socket  # only where there are containers: the start of a verb takes no time for it

    until = time.monotonic() + TIMEOUT_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        said = bytearray()
        while piece := connection.recv(65536):
            said += piece
            left = until - time.monotonic()
            if left <= 0 or len(said) > MAX_BYTES:
                raise TimeoutError(path)
            connection.settimeout(left)
    head, _, body = bytes(said).partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise OSError(f"{path}: {head[:100]!r}")
    return body
