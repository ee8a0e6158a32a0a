"""Ends that nobody asks about: what was held for a target goes with it, and what is kept is bounded.

Of `profiling/attaching.py` and `profiling/found_target.py`.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from straced import Profiler, StraceManager
from straced.errors import NoSuchProcess, StracedError
from straced.manager.finished import KEPT, Finished
from straced.manager.last_errors import KEPT as ERRORS_KEPT
from straced.model.types import Target
from straced.tracers.ebpf import tracer as ebpf_tracer
from tests.library.belongings import Held, settles_to
from tests.support.needs import require
from tests.support.poll import auntil
from tests.support.workload import Starter, Workload

pytestmark = [pytest.mark.needs("strace", "cc")]
GONE = 1 << 22
"""No pid of this kernel."""


async def run_to_end(workload: Workload) -> None:
    await workload.work()
    await asyncio.to_thread(workload.let_end)


async def test_a_session_gives_back_what_it_holds_when_its_target_ends(tracer: str, start: Starter) -> None:
    idle = start("tick")
    async with Profiler(tracer) as profiler:
        await (await profiler.attach(idle.pid)).detach()
        workloads = [start("n", 10) for _ in range(8)]
        before = Held(idle.pid)
        sessions = [await profiler.attach(workload.pid) for workload in workloads]
        for workload in workloads:
            await run_to_end(workload)
        await settles_to(before, "8 sessions that nobody asked about")
        assert [session.alive for session in sessions] == [False] * 8
        assert profiler.sessions == []
        assert [(await session.result()).syscalls["getppid"].calls for session in sessions] == [10] * 8
        sample = await sessions[0].read()
        assert sum(row.calls or 0 for row in sample.rows if row.name == "getppid") == 10


async def test_a_manager_keeps_the_summary_and_nothing_else(manager: StraceManager, start: Starter) -> None:
    idle = start("tick")
    assert await manager.attach(idle.pid)
    assert await manager.detach(idle.pid) is not None
    workloads = [start("n", 10 + number) for number in range(4)]
    before = Held(idle.pid)
    for workload in workloads:
        assert await manager.attach(workload.pid)
        await run_to_end(workload)
    await settles_to(before, "4 summaries that nobody asked about")
    assert manager.attached_pids == []
    found = [await manager.detach(workload.pid) for workload in workloads]
    assert [each["syscall_counts"]["getppid"] for each in found if each is not None] == [10, 11, 12, 13]


async def test_a_full_trace_gives_back_its_file_when_its_target_ends(
    manager: StraceManager, start: Starter, tmp_path: Path
) -> None:
    idle = start("tick")
    assert await manager.attach(idle.pid)
    assert await manager.detach(idle.pid) is not None
    workloads = [start("n", 10) for _ in range(3)]
    before = Held(idle.pid)
    for workload in workloads:
        assert await manager.attach_full_trace(workload.pid, tmp_path / f"{workload.pid}")
        await run_to_end(workload)
    await settles_to(before, "3 full traces that nobody stopped")
    assert all((tmp_path / f"{workload.pid}").read_text().count("getppid(") == 10 for workload in workloads)


def summary_of(number: int) -> Any:
    return {"total_calls": number}


def target_of(pid: int, start: int) -> Target:
    return Target(pid=pid, start_ticks=start, boot_id="")


def test_take_finished_has_those_whose_pid_was_attached_to_again() -> None:
    finished = Finished(lambda: 0.0)
    for pid, began in ((7, 1), (8, 1), (7, 2), (7, 3)):
        finished.keep(target_of(pid, began), summary_of(10 * pid + began))
    assert [summary["total_calls"] for _target, summary in finished.take_superseded()] == [71, 72]
    assert finished.take_superseded() == []
    assert finished.take(7) == summary_of(73), "the newest is still there"
    assert finished.take(7) is None
    finished.supersede(8)  # attached to again, and not ended yet
    assert finished.take(8) is None
    assert [target.pid for target, _summary in finished.take_superseded()] == [8]


def test_finished_summaries_are_bounded() -> None:
    now = [0.0]
    finished = Finished(lambda: now[0])
    for pid in range(1, KEPT + 3):
        finished.keep(target_of(pid, 1), summary_of(pid))
    assert (finished.take(2), finished.take(3)) == (None, summary_of(3))
    now[0] = 3601.0
    assert finished.take(4) is None


async def test_the_newest_errors_are_kept_without_their_frames(manager: StraceManager) -> None:
    for pid in range(GONE, GONE - ERRORS_KEPT - 50, -1):
        assert not await manager.attach(pid)
    assert manager.last_error(GONE) is None, "the oldest have made room"
    error = manager.last_error(GONE - ERRORS_KEPT - 49)
    assert isinstance(error, NoSuchProcess)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
    kept = [manager.last_error(pid) for pid in range(GONE, GONE - ERRORS_KEPT - 50, -1)]
    assert sum(each is not None for each in kept) == ERRORS_KEPT


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Only what has no reference any more goes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", ["ebpf", "strace", "sampler"])
async def test_a_profiler_goes_without_a_collection(name: str, start: Starter, no_collection: None) -> None:
    if name == "ebpf":
        require("ebpf")
    target = start("tick")
    async with Profiler(name) as profiler:
        session = await profiler.attach(target.pid)
        with pytest.raises(StracedError):
            await profiler.attach(GONE)
        inner = session._inner
        await session.detach()
    gone = [weakref.ref(each) for each in (profiler, session, inner, profiler._tracers.get(name))]
    if name == "ebpf":
        gone += [weakref.ref(inner._instance), weakref.ref(inner._instance.engine)]  # type: ignore[union-attr]
    del profiler, session, inner
    await auntil(lambda: not any(each() for each in gone), what="all are gone")


async def test_a_profiler_that_nobody_closes_gives_back_what_it_held(
    tracer: str, start: Starter, no_collection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped once its sessions are over; its programs and their maps were there to the end of the process."""
    monkeypatch.setattr(ebpf_tracer, "LINGER_S", 0.2)
    target = start("tick")
    await _dropped(tracer, target.pid)
    before = Held(target.pid)
    for _ in range(3):
        await _dropped(tracer, target.pid)
    await settles_to(before, "a Profiler that was dropped")


async def _dropped(tracer: str, pid: int) -> None:
    await (await Profiler(tracer).attach(pid)).detach()
