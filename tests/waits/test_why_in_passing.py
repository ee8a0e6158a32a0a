"""A thread that is met at work by chance, and rests as a rule, neither stands for its process nor makes it slow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from why_stages import READER
from why_world import World, close

from straced import syscalls
from straced.linux import procfs
from straced.views.why.sentence import sentence
from straced.waits import process as one_process
from straced.waits.facts.activity import RUNNING, Activity
from straced.waits.facts.snapshot import ProcSnapshot
from straced.waits.model import Node, leaves, walk
from straced.waits.process import why_process
from straced.waits.verdict.chain import ChainBuilder
from straced.waits.verdict.judge import judge
from straced.waits.verdict.representative import choose


def _seen(**found: int) -> Activity:
    """A thread that was found so often in each call, ``running`` for none."""
    activity = Activity()
    activity.switches, activity.cpu_pct = 7, 2.0
    for name, count in found.items():
        number = syscalls.number_of(name, syscalls.native_abi())
        activity.calls[RUNNING if number is None else (number, 3)] = count
    return activity


@pytest.fixture
def met_at_work(world: World) -> Node:
    """The chain of a real process that runs at this moment."""
    target = world.program("busy")
    world.until(lambda: procfs.stat(target.pid).state == "R", "it does not run")
    return ChainBuilder(ProcSnapshot()).build(target.pid, target.pid)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"epoll_pwait": 9, "running": 1}, "idle"),
        ({"clock_nanosleep": 6, "running": 4}, "idle"),
        ({"fsync": 9, "running": 1}, "slow"),
        ({"recvfrom": 9, "running": 1}, "slow"),
        ({"epoll_pwait": 3, "running": 7}, "busy"),
        ({}, "busy"),
    ],
)
def test_the_verdict_is_about_what_it_does_as_a_rule(met_at_work: Node, found: dict[str, int], verdict: str) -> None:
    key = met_at_work.task.pid, met_at_work.task.tid
    assert met_at_work.task.wait.kind == "running"
    assert judge(met_at_work, 2.0, [], {key: _seen(**found)})[0] == verdict


def test_a_thread_that_is_met_in_passing_does_not_stand_for_its_process(world: World) -> None:
    code = "def work():\n while True: pass\nthreading.Thread(target=work, daemon=True).start(); ready()\nrest()"
    target = world.python(code)
    world.until(lambda: len(list(procfs.tasks(target.pid))) == 2, "there is no thread")
    other = next(tid for tid in procfs.tasks(target.pid) if tid != target.pid)
    world.until(lambda: procfs.stat(f"{target.pid}/task/{other}").state == "R", "it does not run")
    world.rests(target.pid)
    for found, expected in ((_seen(clock_nanosleep=9, running=1), target.pid), (_seen(running=9), other)):
        assert ChainBuilder(ProcSnapshot(), {(target.pid, other): found}).representative(target.pid) == expected


@pytest.mark.parametrize(("found", "verdict"), [({"epoll_pwait": 9, "running": 1}, "stuck"), ({"running": 9}, "slow")])
def test_who_is_met_at_the_end_of_a_chain_works_only_if_he_does_so_as_a_rule(
    world: World, found: dict[str, int], verdict: str
) -> None:
    reading, writing, _ = world.pipe()
    culprit = world.program("busy", fds=(writing,))
    target = world.python(READER, reading, fds=(reading,))
    close(reading, writing)
    world.rests(target.pid)
    world.until(lambda: procfs.stat(culprit.pid).state == "R", "it does not run")
    chain = ChainBuilder(ProcSnapshot()).build(target.pid, target.pid)
    assert [leaf.task.pid for leaf in leaves(chain)] == [culprit.pid]
    assert judge(chain, 0.0, [], {(culprit.pid, culprit.pid): _seen(**found)})[0] == verdict


LOCKED = "kept = open(ARGS[0], 'w')\nready()\nfcntl.flock(kept, fcntl.LOCK_EX)\nos.read(int(ARGS[1]), 1)\nrest()"
BUSY = "ready()\nwhile os.read(int(ARGS[0]), 1): pass"


def test_who_holds_a_lock_is_named_whatever_those_behind_him_do(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain that is never at rest as a whole ends with the one that runs, and not where it begins."""
    lock = tmp_path / "lock"
    (reading, writing, _), (asking, asked, _) = world.pipe(), world.pipe()
    holder = world.python(LOCKED, lock, reading, fds=(reading,))
    world.rests_in(("read",), holder.pid)
    worker = world.python(BUSY, asking, fds=(asking, writing))
    target = world.python(LOCKED, lock, reading, fds=(reading,))
    close(reading, writing, asking)
    world.rests_in(("flock",), target.pid)

    def choose_and_run(*words: object) -> Node:
        world.rests_in(("read",), worker.pid)
        chain = choose(*words)  # type: ignore[arg-type]
        before = procfs.read(f"{worker.pid}/schedstat")
        os.write(asked, b"x")
        world.until(lambda: procfs.read(f"{worker.pid}/schedstat") != before, "it does not run")
        return chain

    monkeypatch.setattr(one_process, "choose", choose_and_run)
    why = why_process(target.pid, 1_000_000)
    close(asked)
    assert why.chain is not None
    assert [node.task.pid for node in walk(why.chain)] == [target.pid, holder.pid, worker.pid]
    assert [leaf.end for leaf in leaves(why.chain)] == ["moving"]
    assert why.verdict == "stuck"
    assert f"held by {holder.pid}" in sentence(why)
    assert sentence(why).endswith("runs now and then, so that whom it waits for changes.")
