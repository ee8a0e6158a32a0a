"""Threads that serve a runtime are never to blame, and what only the runtime knows is had from its own command.

Of `waits/verdict/runtime_commands.py`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from why_world import Role, World

from straced.linux import procfs
from straced.views.why.report import sentence
from straced.waits.facts import runtimes
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import walk
from straced.waits.process import why_process

HELPERS = {
    "libjvm.so": ["GC Thread#0", "G1 Main Marker", "VM Thread", "C2 CompilerThre", "Signal Dispatch", "Finalizer"],
    "libcoreclr.so": [".NET SynchManag", ".NET SigHandler", ".NET Tiered Com", ".NET Finalizer"],
    "libnode.so": ["node", "V8Worker", "libuv-worker", "DelayedTaskSche"],
}
COMMANDS = {
    "libjvm.so": "jcmd {} Thread.print",
    "libcoreclr.so": "dotnet-stack report -p {}",
    "libnode.so": "node inspect -p {}",
}


def _program(world: World, library: str, *threads: str) -> tuple[Role, dict[str, int]]:
    """A program that maps a file of that name and rests on a futex in all its threads; (the role, name -> thread)."""
    role = world.program("named_threads", world.directory / library, *threads)
    tids = list(procfs.tasks(role.pid))
    world.rests(*tids)
    return role, {procfs.stat(f"{role.pid}/task/{tid}").comm: tid for tid in tids}


@pytest.mark.parametrize("library", HELPERS)
def test_helpers_are_not_to_blame(world: World, library: str) -> None:
    """The main thread waits for one of the program's own threads; those of the runtime are never among them."""
    role, tids = _program(world, library, *HELPERS[library], "worker-1", "worker-2")
    why = why_process(role.pid, 50_000_000)
    assert why.chain is not None
    named = {node.task.tid for node in walk(why.chain)} - {role.pid}
    assert named == {tids["worker-1"], tids["worker-2"]}, sentence(why)
    assert why.next == COMMANDS[library].format(role.pid)


@pytest.mark.parametrize("library", HELPERS)
def test_a_helper_rests(world: World, library: str) -> None:
    _, tids = _program(world, library, HELPERS[library][0], "worker")
    why = why_process(tids[HELPERS[library][0]], 50_000_000)
    assert why.verdict == "idle", sentence(why)
    assert why.chain is not None
    assert why.chain.holders == ()
    assert "waits for work of its " in sentence(why)
    assert why_process(tids["worker"], 50_000_000).verdict == "stuck"


def test_a_program_whose_helpers_alone_remain_has_nobody_to_wait_for(world: World) -> None:
    role, _ = _program(world, "libjvm.so", "VM Thread")
    why = why_process(role.pid, 50_000_000)
    assert why.chain is not None
    assert why.chain.holders == ()


def test_a_native_program_is_looked_at_in_a_debugger(world: World) -> None:
    role, tids = _program(world, "libother.so", "GC Thread#0", "VM Thread")
    why = why_process(role.pid, 50_000_000)
    assert why.chain is not None
    assert {node.task.tid for node in walk(why.chain)} == {role.pid, *tids.values()}
    assert why.next is not None
    assert why.next.startswith(f"gdb -p {role.pid} ")


def test_python_is_known_by_its_name(world: World) -> None:
    code = "threading.Thread(target=rest, daemon=True).start(); ready(); threading.Event().wait()"
    role = world.python(code)
    world.rests(role.pid)
    why = why_process(role.pid, 50_000_000)
    assert why.next == f"py-spy dump --pid {role.pid}"


def test_a_go_program_is_known_by_its_note(world: World, tmp_path: Path) -> None:
    """Which goroutine waits for what is in no thread: the answer is that it cannot be known, and nobody is named."""
    program = tmp_path / "go"
    source = Path(__file__).with_name("go_note.c")
    subprocess.run(["cc", "-O1", "-Wall", "-pthread", "-o", program, source], check=True, timeout=60)
    receiving, sending = os.pipe()
    role = world.command(str(program), str(sending), fds=(sending,))
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        assert file.readline() == b"ready\n"
    world.rests(*procfs.tasks(role.pid))
    assert runtimes.runtime_of(ProcSnapshot(), role.pid) == runtimes.GO
    why = why_process(role.pid, 50_000_000)
    assert why.verdict == "unknown"
    assert why.chain is not None
    assert why.chain.holders == ()
    assert "which goroutine waits for what the kernel does not know" in sentence(why)
    assert why.next == f"kill -QUIT {role.pid}  (it prints its goroutines, and ends)"


def test_our_own_roles_have_no_runtime(world: World, roles: Path) -> None:
    role, _ = _program(world, "libother.so", "worker")
    assert runtimes.runtime_of(ProcSnapshot(), role.pid) == ""
