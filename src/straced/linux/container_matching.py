"""``container:ID|NAME`` and ``pod:NAMESPACE/NAME|UID``: whom they mean, and the labels of those who are in one."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from straced.errors import AmbiguousTarget
from straced.linux import procfs
from straced.linux.container_names import ContainerNames
from straced.linux.containers import SHORT, Container, around, everybody

KINDS = ("container", "pod")
SHOWN = 5
_CUT = re.compile("[0-9a-f]{4,64}")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_POD = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}(/[a-z0-9][a-z0-9.-]{0,252})?")
_MAX_LABEL = 200


def can_be(kind: str, value: str) -> bool:
    """Whether a container or pod may be called so."""
    return bool((_CONTAINER if kind == "container" else _POD).fullmatch(value)) if kind in KINDS else False


class ContainerMatcher:
    """Knows who is in which container, and what these are called.

    Args:
        root: of /proc.
        names: where names come from.
    """

    def __init__(self, root: str = procfs.ROOT, names: ContainerNames | None = None) -> None:
        self._root = root
        self._names = names or ContainerNames()
        self._home: tuple[Container, ...] | None = None

    def refresh(self) -> None:
        """Ask for names again, unless that has just been done."""
        self._names.refresh()

    def inside(self, pid: int) -> tuple[Container, ...]:
        """The containers that a process is in, the outermost first, without those that straced itself is in."""
        if self._home is None:
            self._home = self._around(os.getpid())
        return tuple(each for each in self._around(pid) if each not in self._home)

    def _around(self, pid: int) -> tuple[Container, ...]:
        try:
            return tuple(around(pid, self._root))
        except (procfs.Gone, OSError, ValueError):
            return ()

    def matches(self, kind: str, value: str, inside: Sequence[Container]) -> bool:
        """Whether a target means one of these containers; an id may be cut."""
        return any(self._means(kind, value, each) for each in inside)

    def _means(self, kind: str, value: str, container: Container) -> bool:
        if kind == "pod":
            return value in (self._names.pod_of(container), container.pod_uid)
        cut = bool(_CUT.fullmatch(value)) and container.id.startswith(value)
        return cut or value == self._names.name_of(container)

    def labels(self, inside: Sequence[Container]) -> dict[str, str]:
        """``container`` and ``pod`` of who is in these; none for a process of the host."""
        if not inside:
            return {}
        self.refresh()
        return {key: value[:_MAX_LABEL] for key, value in self._names.labels(inside[-1]).items()}

    def name(self, inside: Sequence[Container]) -> str | None:
        """``NAME``, or ``NAMESPACE/POD/NAME``, of the innermost of these; ``None`` for a process of the host."""
        labels = self.labels(inside)
        return "/".join(labels[key] for key in ("pod", "container") if key in labels) or None

    def processes(self, kind: str, value: str) -> list[int]:
        """Everybody whom a target means now.

        Raises:
            AmbiguousTarget: several containers of one name, or whose ids begin alike.
        """
        self.refresh()
        found: set[int] = set()
        ids: dict[str, None] = {}
        for pid, inside in everybody(self._root):
            meant = [each for each in inside if self._means(kind, value, each)]
            if meant:
                found.add(pid)
                ids.update(dict.fromkeys(each.id for each in meant))
        if kind == "container" and len(ids) > 1:
            length = SHORT if len({each[:SHORT] for each in ids}) == len(ids) else None
            shown = ", ".join(each[:length] for each in list(ids)[:SHOWN]) + (
                f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            )
            hint = f"name one: container:{next(iter(ids))[:length]}"
            raise AmbiguousTarget(f"container:{value} is {len(ids)} containers: {shown}", hint=hint)
        return sorted(found)
