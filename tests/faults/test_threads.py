"""Threads that are many, short-lived, or not followed.

Of `tracers/strace/task_limit.py` and `tracers/strace/interrupted_calls.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

import pytest

from straced import Profiler, errors
from tests.support import proc
from tests.support.poll import auntil
from tests.support.rival import TracingParent
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_all_of_a_hundred_threads(profiler: Profiler, start: Starter) -> None:
    workload = start("pool", 100, 20)
    session = await profiler.attach(workload.pid)
    await workload.work()
    summary = await session.detach()
    assert summary.syscalls["getppid"].calls == 2000
    assert (summary.quality.tasks_traced, summary.quality.tasks_seen) == (101, 101)
    assert summary.threads is None or summary.threads >= 101


@pytest.mark.parametrize("lineages", [1, 4, 16])
async def test_threads_born_while_attaching(profiler: Profiler, start: Starter, lineages: int) -> None:
    """No lineage of threads is lost for good; where one could be, the quality says that not all are covered."""
    workload = start("relay", lineages)
    for _ in range(6):
        session = await profiler.attach(workload.pid)
        untraced = all(some_untraced(workload.pid) for _ in range(6))
        summary = await session.detach()
        quality = summary.quality
        if untraced:
            assert quality.kind == "partial"
            assert "coverage" in {reason.code for reason in quality.reasons}
            assert quality.tasks_traced is not None
            assert quality.tasks_seen is None or quality.tasks_traced < quality.tasks_seen
        assert workload.untraced()
    assert workload.runs()


async def test_a_parent_that_is_named_for_a_moment_is_no_tracer(profiler: Profiler, start: Starter) -> None:
    """As the kernel does between "is traced" and "by whom": here the parent is one, until strace has the leader."""
    workload = start("threads", 3)
    parent = TracingParent(max(proc.tasks(workload.pid)))

    async def let_go() -> None:
        await auntil(lambda: proc.tracer(workload.pid), what="strace attaches")
        parent.let_go()

    letting_go = asyncio.create_task(let_go())
    session = await profiler.attach(workload.pid)
    await letting_go
    assert {task.tracer for task in proc.tasks(workload.pid).values()} <= {*session.helper_pids}
    quality = (await session.detach()).quality
    assert {"already_traced", "coverage"}.isdisjoint(reason.code for reason in quality.reasons)
    assert (quality.tasks_traced, quality.tasks_seen) == (4, 4)


async def test_a_parent_that_traces_is_named(profiler: Profiler, start: Starter) -> None:
    workload = start("threads", 3)
    parent = TracingParent(max(proc.tasks(workload.pid)))
    quality = (await (await profiler.attach(workload.pid)).detach()).quality
    parent.let_go()
    said = {reason.code: reason.text for reason in quality.reasons}
    assert str(os.getpid()) in said["already_traced"]
    assert (quality.tasks_traced, quality.tasks_seen) == (3, 4)
    assert "3 of 4" in said["coverage"]
    assert quality.kind == "partial"


@pytest.mark.limit(90)
async def test_three_thousand_threads(start: Starter) -> None:
    workload = start("threads", 3000)
    async with Profiler(tracer="strace", max_tasks=5000) as profiler:
        started = time.monotonic()
        session = await profiler.attach(workload.pid)
        attached = time.monotonic() - started
        assert sum(task.tracer != 0 for task in proc.tasks(workload.pid).values()) == 3001
        started = time.monotonic()
        await session.detach()
        assert attached < 5
        assert time.monotonic() - started < 5
    assert workload.untraced()
    assert workload.runs()


async def test_attached_is_never_said_too_early(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    for _ in range(25):
        session = await profiler.attach(workload.pid)
        assert proc.tracer(workload.pid) in session.helper_pids
        await session.detach()
        assert proc.tracer(workload.pid) == 0


async def test_no_call_is_missed_at_the_start(profiler: Profiler, start: Starter) -> None:
    for count in (1, 10, 1000):
        session = await profiler.spawn([str(start.gt), "n", str(count)], env={})
        assert await session.process.wait() == 0
        summary = await session.result()
        assert summary.syscalls["getppid"].calls == count
        assert summary.syscalls["execve"].calls == 1


def some_untraced(pid: int) -> list[int]:
    """Living tasks without a tracer. A task that ends while it is read looks like one, hence: look again."""
    return [tid for tid, task in proc.tasks(pid).items() if not task.tracer]


INTERRUPTED = ["epoll_wait", "semop", "semtimedop", "sigtimedwait", "sigwaitinfo", "recv_timeout"]
TRANSPARENT = ["poll", "select", "futex", "read", "recv", "accept", "pause", "nanosleep", "msgrcv"]


@pytest.mark.parametrize("call", [*TRANSPARENT, *INTERRUPTED])
async def test_blocking_calls(profiler: Profiler, start: Starter, call: str) -> None:
    """The kernel's list of calls that an attach interrupts: those that are transparent must stay so."""
    workload = start("block", call)
    workload.go()
    await auntil(lambda: proc.state(workload.pid) == "S", what="it blocks")
    try:
        session = await profiler.attach(workload.pid)
        await session.detach()
        if call in TRANSPARENT:
            assert proc.state(workload.pid) in "SR"
            with pytest.raises(AssertionError, match="no 'returned'"):
                await asyncio.to_thread(workload.channel.expect, "returned", 0.1)
        else:
            assert await asyncio.to_thread(workload.channel.expect, "returned") == "-1 EINTR"
    finally:
        remove_ipc(workload.channel.heard)


def remove_ipc(lines: list[str]) -> None:
    """Remove the System V objects that a workload named."""
    import subprocess

    for line in lines:
        kind, _, number = line.partition(" ")
        if kind in ("sem", "msg"):
            subprocess.run(["ipcrm", "-s" if kind == "sem" else "-q", number], check=False, capture_output=True)


async def test_resumed_calls_are_not_new_ones(profiler: Profiler, start: Starter) -> None:
    """A hundred sleeping threads are woken by the attach and sleep on: not a hundred calls."""
    workload = start("threads", 100)
    session = await profiler.attach(workload.pid)
    summary = await session.detach()
    assert not [row for row in summary.rows if row.name == "restart_syscall" and (row.calls or 0) > 2]


async def test_more_tasks_than_the_cap_are_shed(start: Starter) -> None:
    workload = start("busy", 300)
    async with Profiler(tracer="strace", max_tasks=100) as profiler:
        with contextlib.suppress(errors.AttachError):
            session = await profiler.attach(workload.pid)
            assert sum(task.tracer != 0 for task in proc.tasks(workload.pid).values()) <= 100
            summary = await session.detach()
            assert summary.quality.kind != "exact"
            assert "100" in " ".join(reason.text for reason in summary.quality.reasons)
        assert workload.untraced()
    assert workload.runs()


async def test_a_target_that_grows_over_the_cap_is_let_go(start: Starter) -> None:
    workload = start("grow", 400)
    async with Profiler(tracer="strace", max_tasks=60) as profiler:
        session = await profiler.attach(workload.pid)
        workload.go()
        ending = await asyncio.wait_for(session.wait(), 20)
        assert ending.reason == "tasks"
        summary = await session.result()
        assert summary.end == "tasks"
        assert summary.quality.kind == "partial"
        await auntil(workload.untraced, 5, "let go")
