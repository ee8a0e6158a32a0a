"""What an attach promises.

Of `tracers/strace/guard_client.py`, `tracers/strace/guard/__main__.py`, `tracers/strace/guard/attach_watch.py`,
`tracers/strace/guard/helper.py`,
`tracers/strace/guard/loop.py` and `tracers/strace/guard/owner_channel.py`.

Of `manager/admission.py` and `manager/pending_starts.py`.
"""

# ruff: noqa: ASYNC240
from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.events import Events
from tests.support.poll import until
from tests.support.workload import Starter
from tests.support.world import WORLD

pytestmark = pytest.mark.needs("strace", "cc")


async def test_disabled_refuses_and_spawns_nothing(start: Starter, events: Events) -> None:
    workload = start("tick")
    before = WORLD.processes()
    manager = StraceManager(enabled=False)
    assert manager.enabled is False
    assert await manager.attach(workload.pid) is False
    assert WORLD.processes() == before
    assert manager.attached_pids == []
    assert manager.get_strace_pids() == []
    assert events.one("strace_disabled")["level"] == "debug"


async def test_without_strace_refuses_and_notices_a_later_installation(
    start: Starter, events: Events, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workload = start("tick")
    manager = StraceManager()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert StraceManager.is_available() is False
    before = WORLD.processes()
    assert await manager.attach(workload.pid) is False
    assert WORLD.processes() == before
    assert manager.attached_pids == []
    assert events.one("strace_not_available")["level"] == "warning"
    error = manager.last_error(workload.pid)
    assert error is not None
    assert error.code == "strace_missing"
    monkeypatch.setenv("PATH", path)
    assert StraceManager.is_available() is True
    assert await manager.attach(workload.pid) is True
    assert set(await manager.detach_all()) == {workload.pid}


def test_enabled_cannot_be_set() -> None:
    manager = StraceManager()
    assert manager.enabled is True
    with pytest.raises(AttributeError):
        manager.enabled = False  # type: ignore[misc]


async def test_attached_twice_has_one_tracer(manager: StraceManager, start: Starter, events: Events) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    helpers = manager.get_strace_pids()
    assert await manager.attach(workload.pid) is True
    assert manager.get_strace_pids() == helpers
    assert events.one("strace_already_attached", pid=workload.pid)["level"] == "debug"


def straces(target: int) -> set[int]:
    """All of this test run that were started for a target; others measure what a call costs."""
    return {pid for pid in WORLD.processes() if proc.comm(pid) == "strace" and str(target) in proc.cmdline(pid)}


async def test_concurrent_attaches_make_one_tracer(manager: StraceManager, start: Starter) -> None:
    for _ in range(5):
        workload = start("tick")
        answers = await asyncio.gather(*(manager.attach(workload.pid) for _ in range(4)))
        assert answers == [True] * 4
        assert len(manager.get_strace_pids()) == 1
        assert straces(workload.pid) == set(manager.get_strace_pids())
        assert await manager.detach(workload.pid) is not None


async def test_true_means_confirmed_by_the_kernel(manager: StraceManager, start: Starter) -> None:
    for _ in range(20):
        workload = start("tick")
        assert await manager.attach(workload.pid) is True
        assert proc.tracer(workload.pid) in manager.get_strace_pids()
        assert await manager.detach(workload.pid) is not None
        workload.kill()


async def test_every_task_is_traced(manager: StraceManager, start: Starter) -> None:
    workload = start("busy", 40)
    assert await manager.attach(workload.pid) is True
    helpers = manager.get_strace_pids()
    tracers = [task.tracer for task in proc.tasks(workload.pid).values()]
    assert len(tracers) == 41
    assert set(tracers) <= set(helpers)
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["quality"]["tasks_traced"] == 41


@pytest.mark.parametrize("pid", [0, -1, 2**31, 10**11, 2**22 + 1])
async def test_pids_that_cannot_be(manager: StraceManager, pid: int) -> None:
    before = WORLD.processes()
    assert await manager.attach(pid) is False
    assert manager.last_error(pid) is not None
    assert {pid for pid in WORLD.processes() - before if proc.comm(pid) == "strace"} == set()
    assert manager.attached_pids == []


async def test_success_is_logged_with_both_pids(manager: StraceManager, start: Starter, events: Events) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    event = events.one("strace_attached", pid=workload.pid)
    assert event["level"] == "info"
    assert [event["strace_pid"]] == manager.get_strace_pids()
    assert proc.comm(event["strace_pid"]) == "strace"
    for record in events.records:
        assert isinstance(record.__dict__["straced"], dict)


async def test_attached_pids_are_in_order_and_forget_the_dead(manager: StraceManager, start: Starter) -> None:
    workloads = [start("tick") for _ in range(3)]
    for workload in workloads:
        assert await manager.attach(workload.pid)
    assert manager.attached_pids == [workload.pid for workload in workloads]
    assert len(manager.get_strace_pids()) == 3
    workloads[1].kill()
    await asyncio.to_thread(until, lambda: len(manager.attached_pids) == 2, 3.0, "the dead one drops out")
    assert manager.attached_pids == [workloads[0].pid, workloads[2].pid]
    await asyncio.to_thread(until, lambda: len(manager.get_strace_pids()) == 2, 3.0, "its helper ends")


async def test_threads_that_exist_are_traced(manager: StraceManager, start: Starter) -> None:
    workload = start("pool", 7, 300)
    assert await manager.attach(workload.pid)
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 7 * 300


async def test_threads_and_children_that_come_later_are_traced(manager: StraceManager, start: Starter) -> None:
    for mode in ("nthreads", "nforks"):
        workload = start(mode, 4, 250)
        assert await manager.attach(workload.pid)
        await workload.work()
        result = await manager.detach(workload.pid)
        assert result is not None
        assert result["syscall_counts"]["getppid"] == 1000, mode


async def test_children_that_exist_are_traced_when_following(manager: StraceManager, start: Starter) -> None:
    workload = start("family", 3, 200)
    children = workload.channel.numbers("child")
    assert await manager.attach(workload.pid)
    assert len(children) == 3
    assert {proc.tracer(pid) for pid in children} <= set(manager.get_strace_pids())
    assert all(proc.tracer(pid) for pid in children)
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 4 * 200


async def test_children_are_left_alone_when_not_following(manager: StraceManager, start: Starter) -> None:
    workload = start("family", 2, 100)
    children = workload.channel.numbers("child")
    assert await manager.attach(workload.pid, follow=False)
    assert [proc.tracer(pid) for pid in children] == [0, 0]
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 100


async def test_the_helper_has_its_own_session_and_no_terminal(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    (helper,) = manager.get_strace_pids()
    assert proc.session(helper) != os.getsid(0)
    assert int(proc.stat(helper)[2]) != os.getpgrp()
    assert os.readlink(f"/proc/{helper}/fd/0") == "/dev/null"
    assert int(proc.stat(helper)[4]) == 0, "no controlling terminal"


async def test_the_helper_has_a_clean_environment(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    (helper,) = manager.get_strace_pids()
    environment = Path(f"/proc/{helper}/environ").read_bytes().split(b"\0")
    assert b"LC_ALL=C" in environment
    assert not [entry for entry in environment if entry.startswith((b"LD_", b"PYTHON", b"STRACE_"))]
    assert os.path.isabs(os.readlink(f"/proc/{helper}/exe"))
    assert proc.cmdline(helper)[0].startswith("/")


@pytest.mark.limit(240)
@pytest.mark.parametrize("full", [False, True], ids=["summary", "full trace"])
async def test_a_fork_loop_never_freezes(manager: StraceManager, start: Starter, tmp_path: Path, full: bool) -> None:
    workload = start("forkloop", 6000)
    if full:
        assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    else:
        assert await manager.attach(workload.pid)
    await asyncio.to_thread(workload.go_through)
    assert workload.ticks() == 6000
    if full:
        assert await manager.detach_full_trace(workload.pid)
    else:
        result = await manager.detach(workload.pid)
        assert result is not None
        assert result["syscall_counts"]["wait4"] == 6000
