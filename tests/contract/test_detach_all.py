"""The end of everything, at shutdown.

Of `manager/ending_all.py`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.events import Events
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_nothing_to_do_is_silent(manager: StraceManager, events: Events) -> None:
    assert await manager.detach_all() == {}
    assert events.all("strace_detach_all") == []


async def test_maps_are_emptied_first_and_a_second_call_does_nothing(
    manager: StraceManager, start: Starter, events: Events
) -> None:
    workloads = [start("tick") for _ in range(3)]
    for workload in workloads:
        assert await manager.attach(workload.pid)
    first = asyncio.ensure_future(manager.detach_all())
    await asyncio.sleep(0)
    assert manager.attached_pids == []
    assert await manager.detach_all() == {}
    assert set(await first) == {workload.pid for workload in workloads}
    assert events.one("strace_detach_all")["level"] == "info"
    assert events.one("strace_detach_all")["count"] == 3
    assert manager.get_strace_pids() == []


async def test_stuck_ones_are_waited_for_together(manager: StraceManager, start: Starter) -> None:
    workloads = [start("vforkslow", 40) for _ in range(6)]
    for workload in workloads:
        assert await manager.attach(workload.pid)
    helpers = manager.get_strace_pids()
    for workload in workloads:
        workload.go()
        await auntil(lambda pid=workload.pid: proc.state(pid) == "D", what="it waits in vfork")  # type: ignore[misc]
    started = time.monotonic()
    await manager.detach_all()
    assert time.monotonic() - started < 5
    assert not any(proc.alive(pid) for pid in helpers)
    assert all(proc.tracer(workload.pid) == 0 for workload in workloads)


async def test_summaries_are_not_thrown_away(manager: StraceManager, start: Starter) -> None:
    counts = {}
    for count in (11, 22, 33):
        workload = start("n", count)
        assert await manager.attach(workload.pid)
        await workload.work()
        counts[workload.pid] = count
    found = await manager.detach_all()
    assert {pid: result["syscall_counts"]["getppid"] for pid, result in found.items()} == counts


async def test_full_traces_end_too(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    counted, traced = start("n", 44), start("n", 55)
    assert await manager.attach(counted.pid)
    assert await manager.attach_full_trace(traced.pid, tmp_path / "trace")
    assert manager.get_strace_pids()[0] == proc.tracer(counted.pid), "summaries first"
    assert manager.get_strace_pids()[1] == proc.tracer(traced.pid)
    await counted.work()
    await traced.work()
    found = await manager.detach_all()
    assert found[counted.pid]["syscall_counts"]["getppid"] == 44
    assert (tmp_path / "trace").read_text().count("getppid()") == 55
    assert manager.get_strace_pids() == []
