"""``run`` of a command whose own process, or one that it has started, is ended by the OOM killer.

Of `workflows/killed_for_memory.py`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.support.cli import straced
from why_cgroups import Cgroup
from why_world import World

from straced.workflows.killed_for_memory import MemoryWatch

_SMALL = {
    "v1": {"memory.limit_in_bytes": "50000000", "memory.memsw.limit_in_bytes": "50000000"},
    "v2": {"memory.max": "50000000", "memory.swap.max": "0"},
}
_NONE: dict[str, dict[str, str]] = {"v1": {}, "v2": {}}
_LOG = "/dev/kmsg"
_GROWS = "hoard = [bytes(range(256)) * 4096 for _ in range(200)]"
_GROWS_SLOWLY = "import time; hoard = [time.sleep(0.05) or bytes(range(256)) * 8192 for _ in range(100)]"


def _enter(group: Path) -> str:
    """A line of a shell that brings it into a group; straced itself stays outside, there is no room for it."""
    return f"echo $$ > {group}/cgroup.procs"


def test_the_command_itself(world: World) -> None:
    group = Cgroup(world, "memory", **_SMALL)
    code = f"{_enter(group.path)}; exec {sys.executable} -I -S -c '{_GROWS}'"
    done = straced("run", "--tracer", "sampler", "--", "sh", "-c", code)
    assert done.status == 128 + signal.SIGKILL
    assert "the OOM killer ended the command" in done.err, done.err
    assert "50.0 MB" in done.err
    assert "Traceback" not in done.err


def test_a_child_of_the_command(world: World) -> None:
    """Of a shell that ends as it likes, after a child that has left for a group elsewhere and grows slowly there."""
    group = Cgroup(world, "memory", **_SMALL)
    script = world.directory / "child"
    script.write_text(f"{_enter(group.path)}; exec {sys.executable} -I -S -c '{_GROWS_SLOWLY}'")
    for _ in range(5):  # on a busy machine the child may grow while straced cannot look
        done = straced("run", "--tracer", "sampler", "--", "sh", "-c", f"sh {script}; exit 3")
        assert done.status == 3, done.err
        if "OOM" in done.err or not os.access(_LOG, os.R_OK):
            break
    else:
        raise AssertionError(done.err)
    assert "Traceback" not in done.err


def test_nothing_is_said_of_a_command_that_was_killed_otherwise() -> None:
    done = straced("run", "--tracer", "sampler", "--", "sh", "-c", "kill -KILL $$")
    assert done.status == 128 + signal.SIGKILL
    assert "OOM" not in done.err


_COMMAND = """
import subprocess
code = "import sys; open(sys.argv[1]).read(); " + ARGS[1]
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code, ARGS[0]])
ready(child.pid)
child.wait()
"""


class _Watched:
    """A command that is watched as ``run`` does, and a child of its that takes memory once a FIFO is opened."""

    def __init__(self, world: World, log: str = _LOG) -> None:
        self._world = world
        self._path = world.directory / "held.fifo"
        os.mkfifo(self._path)
        self.command = world.python(_COMMAND, self._path, _GROWS)
        self.child = int(self.command.words[0])
        world.rests_in(("openat",), self.child)
        self.watch = MemoryWatch(self.command.pid, log)

    def words(self, status: int) -> str:
        """Let the child take its memory; what is said once it was killed for that."""
        os.close(os.open(self._path, os.O_WRONLY))
        self._world.rests(self.command.pid, states="Z")
        return self.watch.words(status)


def test_a_child_that_was_seen_below_the_command(world: World) -> None:
    """In whatever group it is, and whatever the command makes of it."""
    watched, group = _Watched(world), Cgroup(world, "memory", **_SMALL)
    watched.watch.look()
    group.add(watched.child)
    said = watched.words(0)
    if os.access(_LOG, os.R_OK):
        assert said.startswith(f"the OOM killer ended a process of the command, {watched.child} (python"), said
        assert f"its cgroup {group.name} may have 50.0 MB" in said


@pytest.mark.parametrize("status", [0, 128 + signal.SIGKILL])
def test_a_child_elsewhere_that_nobody_saw(status: int, world: World) -> None:
    """That it was the command's is not known."""
    watched, group = _Watched(world), Cgroup(world, "memory", **_SMALL)
    group.add(watched.child)
    assert watched.words(status) == ""


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("log", [_LOG, "/nonexistent"])
def test_a_child_in_a_group_of_the_commands(log: str, below: bool, world: World) -> None:
    """In the group that the command was in, or below it; by the log, and without one by what is counted."""
    group = Cgroup(world, "memory", **(_NONE if below else _SMALL))
    if below and group.v2:
        pytest.skip("version 2 has no process in a group that has groups below it")
    inner = Cgroup(world, "memory", **_SMALL, name=f"{group.name}/below") if below else group
    watched = _Watched(world, log)
    inner.add(watched.child)
    group.add(watched.command.pid)
    watched.watch = MemoryWatch(watched.command.pid, log)
    said = watched.words(0)
    if os.access(log, os.R_OK):
        assert said.startswith(f"the OOM killer ended process {watched.child} (python"), said
        assert f" of its cgroup {inner.name}: its cgroup {inner.name} may have 50.0 MB" in said
        return
    counter = inner.path / ("memory.events" if inner.v2 else "memory.oom_control")
    assert said == f"the OOM killer likely ended a process of the command: {counter} counts 1 more than at its start"
