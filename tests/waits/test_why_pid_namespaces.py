"""Numbers in arguments and in memory are those of the target's own PID namespace; and locks that a fork copied.

Of `waits/facts/pid_namespaces.py`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from why_require import need_root
from why_world import Role, World

from straced.linux import procfs
from straced.views.why.report import report, sentence
from straced.waits.model import HOLDS, Why
from straced.waits.process import why_process

_TWO_CHILDREN = """
def child():
    pid = os.fork()
    if pid == 0:
        rest()
    os.setpgid(pid, pid)
    return pid
one, other = child(), child()
ready(one, other)
{wait}
"""


def _inside(world: World, code: str) -> tuple[Role, int]:
    """Run Python in a PID namespace of its own; (the role, its process)."""
    need_root()
    role = world.python_in("unshare", "-pf", code=code)
    return role, world.only_child(role.pid)


def _why(world: World, pid: int) -> Why:
    world.rests(pid)
    return why_process(pid, 50_000_000)


@pytest.mark.parametrize(
    "wait",
    ["os.waitpid(other, 0)", "os.waitpid(-other, 0)", "os.waitid(os.P_PID, other, os.WEXITED)",
     "os.waitid(os.P_PIDFD, os.pidfd_open(other), os.WEXITED)"],
)  # fmt: skip
def test_the_child_that_is_waited_for(world: World, wait: str) -> None:
    role, target = _inside(world, _TWO_CHILDREN.format(wait=wait))
    inner = int(role.words[1])
    world.until(lambda: len(procfs.children(target)) == 2, "there are not two children")
    wanted = next(pid for pid in procfs.children(target) if _own_number(pid) == inner)
    world.rests(*procfs.children(target))
    why = _why(world, target)
    assert why.chain is not None
    assert [(node.task.pid, node.relation) for node in why.chain.holders] == [(wanted, HOLDS)], sentence(why)
    assert f"its child {wanted}" in sentence(why)
    if "-other" not in wait:
        assert f"child {wanted}, which it calls {inner} in its PID namespace" in report(why)


def _own_number(pid: int) -> int:
    return int(procfs.status(pid)["NSpid"].split()[-1])


def test_a_pidfd_in_our_own_namespace(world: World) -> None:
    wait = "os.waitid(os.P_PIDFD, os.pidfd_open(other), os.WEXITED)"
    role = world.python(_TWO_CHILDREN.format(wait=wait))
    why = _why(world, role.pid)
    assert why.chain is not None
    assert [node.task.pid for node in why.chain.holders] == [int(role.words[1])]


def test_a_shared_mutex_whose_owner_is_in_another_namespace(world: World, roles: Path) -> None:
    """Both call themselves 1: each in its own namespace. Who of the two is meant cannot be told."""
    need_root()
    path = str(world.directory / "shared")
    holder = _role_inside(world, roles, "shared_hold", path, "0")
    waiter = world.program("shared_wait", path)
    why = _why(world, waiter.pid)
    assert [root.task.pid for root in why.roots] == [holder], sentence(why)
    other = _role_inside(world, roles, "shared_wait", path)
    why = _why(world, other)
    assert not why.deadlock
    assert all(root.relation == "one of" for root in why.roots), sentence(why)
    assert holder in {root.task.pid for root in why.roots}
    assert "its owner calls itself 1 in its PID namespace, and cannot be found here" in report(why)


def _role_inside(world: World, roles: Path, *argv: str) -> int:
    receiving, sending = os.pipe()
    role, *more = argv
    outer = world.command("unshare", "-pf", str(roles), role, str(sending), *more, fds=(sending,))
    os.close(sending)
    with os.fdopen(receiving, "rb") as file:
        assert file.readline()
    return world.only_child(outer.pid)


def test_a_mutex_that_a_fork_copied(world: World) -> None:
    """The thread that holds it lives in the parent: nobody can release the child's copy, and nobody is to blame."""
    parent = world.program("forked_mutex")
    child, owner = map(int, parent.words)
    why = _why(world, child)
    assert why.verdict == "stuck"
    assert why.chain is not None
    assert why.chain.holders == ()
    said = f"thread {owner} of its parent {parent.pid} held it at the fork, and nobody can release this copy of it"
    assert said in sentence(why)


def test_whoever_waits_for_that_child_is_held_up_by_it(world: World) -> None:
    """There the chain ends: behind a mutex that nobody can release there is nobody who cannot be seen."""
    parent = world.program("forked_mutex", "waits")
    child = int(parent.words[0])
    world.rests(child)
    why = _why(world, parent.pid)
    assert why.root_cause is not None
    assert why.root_cause.task.pid == child
    assert "nobody can release this copy of it" in sentence(why)


def test_a_mutex_that_a_fork_copied_from_one_that_is_gone(world: World) -> None:
    parent = world.program("forked_mutex", "leaves")
    child, owner = map(int, parent.words)
    world.owns(child)
    assert parent.process.wait(30) == 0
    why = _why(world, child)
    assert f"its owner, thread {owner}, has ended, or stayed behind" in sentence(why)
    os.kill(child, signal.SIGKILL)
