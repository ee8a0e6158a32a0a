"""Control groups of a stage, of whichever version this machine has; they go when their processes have gone."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

from why_require import need, need_root
from why_world import World

from straced.linux import cgroups

_numbers = itertools.count()


class Cgroup:
    """A group for one controller, made before the processes that it is to hold."""

    def __init__(self, world: World, controller: str, v1: dict[str, str], v2: dict[str, str], name: str = "") -> None:
        need_root()
        place = _place(controller)
        need("cgroups", place is not None, f"no hierarchy serves the controller {controller}")
        assert place is not None
        mount, is_v2 = place
        self.name = name or f"/straced-why-{os.getpid()}-{next(_numbers)}"
        self.path = Path(mount + self.name)
        self.v2 = is_v2
        self.path.mkdir()
        world.cleanup(self._remove, world)
        for file, value in (v2 if is_v2 else v1).items():
            (self.path / file).write_text(value)

    def add(self, pid: int) -> None:
        """Put a process into the group."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def _remove(self, world: World) -> None:
        world.until(self._removed, f"{self.path} cannot be removed")

    def _removed(self) -> bool:
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return not self.path.exists()


def _place(controller: str) -> tuple[str, bool] | None:
    hierarchies = cgroups.hierarchies()
    for each in hierarchies:
        if controller in each.controllers and os.access(each.mount, os.W_OK):
            return each.mount, False
    for each in hierarchies:
        served = Path(each.mount, "cgroup.subtree_control")
        if not each.controllers and served.exists() and _in_v2(controller) in served.read_text().split():
            return each.mount, True
    return None


def _in_v2(controller: str) -> str:
    return {"blkio": "io"}.get(controller, controller)
