"""Limits of the cgroup and of a file system: nobody holds the program up, and the file with the figures is named."""

from __future__ import annotations

import os

from field_judge import Truth
from field_world import Field, program, scenario
from why_cgroups import Cgroup
from why_mounts import Mounted
from why_world import Role, World

_SMALL_MEMORY = {
    "v1": {"memory.limit_in_bytes": "50000000", "memory.memsw.limit_in_bytes": "50000000"},
    "v2": {"memory.max": "50000000", "memory.swap.max": "0"},
}


def _held(world: World, group: Cgroup, code: str, *args: object) -> Role:
    """A role that is in its group before it does what it is for: it opens a FIFO first, which lets it wait."""
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    role = world.python("ready(); open(ARGS[0]).read()\n" + code, path, *args)
    group.add(role.pid)
    os.close(os.open(path, os.O_WRONLY))
    return role


@scenario("root")
def cpu_quota(field: Field, world: World) -> Truth:
    """It gets a hundredth of a CPU, less than its share on the busiest of machines, and would take it all."""
    quota, period = "1000", "100000"
    group = Cgroup(
        world, "cpu", v1={"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": period}, v2={"cpu.max": f"{quota} {period}"}
    )
    role = world.command(program("sha256sum"), "/dev/zero")
    group.add(role.pid)
    return Truth(
        target=role.pid,
        verdicts=("busy", "slow"),
        says=("the CPU quota of its cgroup", group.name),
        never=("others use them",),
        window_s=1.0,
    )


@scenario("root")
def pids_max(field: Field, world: World) -> Truth:
    """A server that wants to start another worker now and again, and may not."""
    group = Cgroup(world, "pids", v1={"pids.max": "1"}, v2={"pids.max": "1"})
    code = "while True:\n try: os.fork()\n except BlockingIOError: time.sleep(0.01)"
    role = _held(world, group, code)
    world.until(lambda: " 0\n" not in (group.path / "pids.events").read_text(), "no fork was refused")
    return Truth(
        target=role.pid, verdicts=("idle", "slow", "busy"), says=(group.name, "1 of 1 task (pids.max)"), window_s=0.5
    )


@scenario("root", "mkfs.ext4")
def frozen_mount(field: Field, world: World) -> Truth:
    """A database writes to a file system that a backup has frozen."""
    disk = Mounted(world)
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    code = "import sqlite3; db = sqlite3.connect(ARGS[1], isolation_level=None); db.execute('create table t (n int)')\n"
    role = world.python(
        code + "ready(); open(ARGS[0]).read(); db.execute('insert into t values (1)')", path, disk.point / "db"
    )
    world.rests_in(("openat",), role.pid)
    frozen = disk.frozen()
    frozen.__enter__()
    world.cleanup(frozen.__exit__, None, None, None)
    os.close(os.open(path, os.O_WRONLY))
    world.rests(role.pid, states="D")
    return Truth(target=role.pid, verdicts=("stuck",), says=(f"{disk.point}, which is frozen",), next="fsfreeze -u")


@scenario("root")
def out_of_memory(field: Field, world: World) -> Truth:
    """A worker that the OOM killer ended, and that its parent has not noticed yet."""
    group = Cgroup(world, "memory", **_SMALL_MEMORY)
    role = _held(world, group, "hoard = [bytes(range(256)) * 4096 for _ in range(200)]; rest()")
    world.rests(role.pid, states="Z")
    return Truth(target=role.pid, verdicts=("ended",), culprits=frozenset({os.getpid()}), says=("OOM",))
