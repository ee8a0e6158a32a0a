"""`waits/classify/frozen_file_systems.py`: which one, by every kind of call that writes, and the line that ends it."""

from __future__ import annotations

import os

import pytest
from tests.support.cli import straced
from why_mounts import Mounted
from why_world import World

from straced.views.why.report import report, sentence
from straced.waits.process import why_process

CALLS = {
    "write": "fd = os.open(ARGS[0] + '/f', os.O_RDWR | os.O_CREAT); call = lambda: os.write(fd, b'x')",
    "openat": "call = lambda: os.open(ARGS[0] + '/new', os.O_RDWR | os.O_CREAT)",
    "mkdir": "os.chdir(ARGS[0]); call = lambda: os.mkdir('relative')",
    "unlinkat": "fd = os.open(ARGS[0], os.O_RDONLY); call = lambda: os.unlink('lost', dir_fd=fd)",
    "ftruncate": "fd = os.open(ARGS[0] + '/g', os.O_RDWR | os.O_CREAT); call = lambda: os.ftruncate(fd, 5)",
}


def test_each_call_that_writes_names_its_file_system(world: World) -> None:
    disk = Mounted(world)
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    wait = "\nready(); open(ARGS[1]).read(); call()"
    roles = {name: world.python(code + wait, disk.point, path) for name, code in CALLS.items()}
    world.rests_in(("openat",), *(role.pid for role in roles.values()))
    with disk.frozen():
        os.close(os.open(path, os.O_WRONLY))
        for name, role in roles.items():
            world.rests(role.pid, states="D")
            why = why_process(role.pid, 50_000_000)
            assert why.verdict == "stuck", sentence(why)
            assert f"waits to write to the file system at {disk.point}, which is frozen (fsfreeze)" in sentence(why)
            assert why.next == f"fsfreeze -u {disk.point}"
            assert f"at {disk.point} is frozen" in report(why)
            assert why.chain is not None
            assert (why.chain.task.wait.call or "").startswith(name)
            assert not why.chain.holders


def test_a_write_to_mapped_memory_that_waits_so(world: World) -> None:
    """In no call, and with the lock of its address space: nothing is read of it that would wait with it."""
    disk = Mounted(world)
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    code = (
        "import mmap; fd = os.open(ARGS[0] + '/f', os.O_RDWR | os.O_CREAT); os.ftruncate(fd, 4096)\n"
        "m = mmap.mmap(fd, 4096); m[0]; ready(); open(ARGS[1]).read(); m[0] = 1"
    )
    target = world.python(code, disk.point, path)
    world.rests_in(("openat",), target.pid)
    with disk.frozen():
        os.close(os.open(path, os.O_WRONLY))
        world.rests(target.pid, states="D")
        why = why_process(target.pid, 50_000_000)
        assert why.verdict == "stuck", sentence(why)
        assert "waits to write to a file system, which is frozen (fsfreeze)" in sentence(why)
        assert not why.commands


@pytest.mark.needs("strace")
def test_a_full_trace_of_one_that_waits_so_is_refused(world: World) -> None:
    disk = Mounted(world)
    path = world.directory / "held.fifo"
    os.mkfifo(path)
    target = world.python(CALLS["mkdir"] + "\nready(); open(ARGS[1]).read(); call()", disk.point, path)
    world.rests_in(("openat",), target.pid)
    with disk.frozen():
        os.close(os.open(path, os.O_WRONLY))
        world.rests(target.pid, states="D")
        for words in (
            ("trace", target.pid, "--tracer", "strace"),
            ("attach", target.pid, "--tracer", "strace", "-d", "1"),
        ):
            done = straced(*words)
            done.assert_clear_error(4)
            assert "is in uninterruptible sleep (state D" in done.err
    world.rests(target.pid, states="Z")
