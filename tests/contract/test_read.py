"""``StraceManager.read``: the figures so far, by eBPF beside strace, and None where that cannot be had.

Of `manager/live_figures.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.events import Events
from tests.support.owner import NOBODY, start_owner
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")


async def lap(workload: Workload) -> None:
    workload.go()
    await asyncio.to_thread(workload.channel.expect, "lap", 20)


@pytest.mark.needs("ebpf")
async def test_live_figures_are_there_from_the_attach_on(start: Starter, events: Events) -> None:
    workload = start("spin", 500, go=False)
    manager = StraceManager(live=True)
    try:
        assert await manager.attach(workload.pid)
        for total in (500, 1000, 1500):
            await lap(workload)
            found = await manager.read(workload.pid)
            assert found is not None
            assert found["syscall_counts"]["getppid"] == total
            assert (found["end"], found["time"]) == ("running", "cpu")
            assert proc.tracer(workload.pid) in manager.get_strace_pids(), "strace counts on"
        (since,) = [reason["text"] for reason in found["quality"]["reasons"] if reason["code"] == "since"]
        assert " s after the attach" in since
        assert found["quality"]["kind"] == "partial"
        assert 99 < sum(found["syscall_time_pct"].values()) < 101
        result = await manager.detach(workload.pid)
        assert result is not None
        assert result["syscall_counts"]["getppid"] == 1500
        assert await manager.read(workload.pid) is None, "it is over"
    finally:
        await manager.detach_all()
    assert workload.untraced()


@pytest.mark.needs("ebpf")
async def test_the_first_read_begins_and_says_so(manager: StraceManager, start: Starter) -> None:
    first, second = start("spin", 300, go=False), start("spin", 200, go=False)
    assert await manager.attach(first.pid)
    await lap(first)
    found = await manager.read(first.pid)
    assert found is not None
    assert found["syscall_counts"].get("getppid", 0) == 0, "what came before is not in it"
    assert "since" in [reason["code"] for reason in found["quality"]["reasons"]]
    await lap(first)
    found = await manager.read(first.pid)
    assert found is not None
    assert found["syscall_counts"]["getppid"] == 300
    assert await manager.attach(second.pid, wall=True)
    await lap(second)
    found = await manager.read(second.pid)
    assert found is not None
    assert (found["syscall_counts"]["getppid"], found["time"]) == (200, "wall")
    result = await manager.detach(first.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 600


@pytest.mark.needs("ebpf")
async def test_a_full_trace_takes_nothing_away(start: Starter, tmp_path: Path) -> None:
    workload = start("spin", 100, go=False)
    manager = StraceManager(live=True)
    try:
        assert await manager.attach(workload.pid)
        await lap(workload)
        assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
        await lap(workload)
        found = await manager.read(workload.pid)
        assert found is not None
        assert found["syscall_counts"]["getppid"] == 200
        assert await manager.detach_full_trace(workload.pid)
        await lap(workload)
        found = await manager.read(workload.pid)
        assert found is not None
        assert found["syscall_counts"]["getppid"] == 300
    finally:
        await manager.detach_all()


async def test_nothing_to_read(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.read(workload.pid) is None
    assert await manager.read(2**22 - 1) is None
    assert await manager.read("1") is None  # type: ignore[arg-type]
    assert await StraceManager(enabled=False).read(workload.pid) is None


@pytest.mark.needs("ebpf")
async def test_an_ended_target_leaves_nothing(start: Starter) -> None:
    workload = start("n", 40)
    manager = StraceManager(live=True)
    try:
        assert await manager.attach(workload.pid)
        await workload.work()
        await asyncio.to_thread(workload.let_end)
        result = await manager.detach(workload.pid)
        assert result is not None
        assert result["syscall_counts"]["getppid"] == 40
        assert await manager.read(workload.pid) is None
        assert manager._live._beside == {}
    finally:
        await manager.detach_all()


@pytest.mark.needs("root", "setpriv")
def test_without_ebpf_it_is_none_and_attach_is_as_ever(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import subprocess
        async def main():
            child = subprocess.Popen([os.environ["GT"], "tick"], env={})
            for live in (True, False):
                manager = StraceManager(live=live)
                say("attached", await manager.attach(child.pid), await manager.read(child.pid),
                    manager.last_error(child.pid), (await manager.detach(child.pid))["quality"]["kind"])
                await manager.detach_all()
            child.kill(); child.wait()
        asyncio.run(main())
        """,
        prefix=NOBODY,
        env={"GT": str(start.gt)},
    )
    for _ in range(2):
        assert owner.channel.expect("attached", 20) == "True None None partial"
    assert owner.process.wait(10) == 0


@pytest.mark.needs("ebpf")
async def test_a_cancelled_attach_is_undone_with_both_tracers(start: Starter) -> None:
    workload = start("tick")
    manager = StraceManager(live=True)
    try:
        for steps in range(0, 60, 3):
            task = asyncio.create_task(manager.attach(workload.pid))
            for _ in range(steps):
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                assert manager.attached_pids == []
                assert manager._live._beside == {}
                assert workload.untraced()
            else:
                assert await manager.detach(workload.pid) is not None
        assert workload.runs()
    finally:
        await manager.detach_all()
