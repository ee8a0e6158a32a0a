"""The engine behind the library's own face: windows, differences, events, children, and a full trace beside it.

Of `tracers/ebpf/events.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from straced import Profiler
from straced.tracers.strace.recording import RecordOptions
from tests.support.needs import require
from tests.tracers.ebpf.conftest import Start


@pytest.fixture
async def profiler() -> AsyncIterator[Profiler]:
    """One that picks by itself."""
    require("ebpf")
    async with Profiler() as made:
        yield made


async def test_auto_picks_it(profiler: Profiler, start: Start) -> None:
    workload = start("n", 1000)
    session = await profiler.attach(workload.pid)
    assert session.tracer == "ebpf"
    assert workload.run() == 0
    result = await session.result()
    assert (result.tracer, result.quality.kind, result.quality.lost, result.end) == ("ebpf", "exact", 0, "exited")
    assert result.syscalls["getppid"].calls == 1000
    assert result.syscalls["exit_group"].calls == 1
    assert result.quality.overhead.basis == "calibrated"


async def test_a_program_from_its_first_instruction(profiler: Profiler, programs: Path) -> None:
    session = await profiler.spawn([programs / "gt", "marks", "50"])
    result = await session.result()
    assert (result.syscalls["execve"].calls, result.syscalls["getppid"].calls) == (1, 50)
    assert session.process is not None
    assert await session.process.wait() == 0


async def test_read_does_not_detach_and_a_window_is_a_difference(profiler: Profiler, start: Start) -> None:
    workload = start("io", 500)
    session = await profiler.attach(workload.pid)
    nothing = await session.read()
    workload.run()
    after = await session.read()
    assert (await session.summary(since=nothing)).syscalls["write"].calls == 500
    assert "write" not in (await session.summary(since=after)).syscalls
    whole = await session.summary()
    assert whole.syscalls["write"].calls == whole.syscalls["read"].calls == 500
    write = whole.syscalls["write"]
    assert write.wall_ns == (write.working_ns or 0) + (write.waiting_ns or 0)
    assert write.min_ns is not None
    assert write.p50_ns is not None
    assert write.p99_ns is not None
    assert write.max_ns is not None
    assert write.min_ns <= write.p50_ns <= write.p99_ns <= write.max_ns


async def test_the_cost_of_a_window_is_that_of_its_own_calls(profiler: Profiler, start: Start) -> None:
    workload = start("blocked")
    session = await profiler.attach(workload.pid)
    workload.go()
    while not {"read", "futex"} <= {row.name for row in (await session.summary()).rows if row.in_flight}:
        pass
    window = await session.summary(since=await session.read())
    assert (window.total.calls, window.quality.overhead.pct) == (0, 0.0)


async def test_windows_add_up_to_the_whole(profiler: Profiler, start: Start) -> None:
    workload = start("threads", 300_000, 4)
    session = await profiler.attach(workload.pid)
    workload.go()
    windows = [window async for window in session.every(0.05)]
    whole = await session.result()
    assert whole.syscalls["getppid"].calls == 1_200_000
    counted = [window.syscalls["getppid"].calls or 0 for window in windows if "getppid" in window.syscalls]
    assert sum(counted) == 1_200_000
    assert len(counted) > 1
    workload.end()


async def test_a_slow_reader_of_windows_has_the_last_one_too(profiler: Profiler, start: Start) -> None:
    """The target ends, and somebody detaches, while the reader is busy with the window before."""
    workload = start("n", 1000)
    session = await profiler.attach(workload.pid)
    windows = session.every(0.01)
    first = await anext(windows)
    workload.run()
    await session.detach()
    counted = [window.syscalls["getppid"].calls async for window in windows]
    assert (first.total.calls, counted) == (0, [1000])
    assert [window async for window in session.every(0.01)] == []


async def test_events_of_a_tree(profiler: Profiler, start: Start) -> None:
    shell = start("-c", "read x; /bin/true; exit 3", program="../../../bin/sh", ready=False)
    session = await profiler.attach(shell.pid)
    events = session.events()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert shell.process.stdin is not None
    shell.process.stdin.write(b"x\n")
    found = [await asyncio.wait_for(first, 10), *[event async for event in events]]
    child = found[0].child_pid
    assert [(event.kind, event.pid) for event in found] == [
        ("fork", shell.pid),
        ("exec", child),
        ("exit", child),
        ("exit", shell.pid),
    ]
    assert found[1].comm == "true"
    assert [event.exit_status for event in found if event.kind == "exit"] == [0, 3]
    assert [event async for event in session.events()] == []


async def test_children_are_watched_and_the_caller_is_not(profiler: Profiler, start: Start) -> None:
    session = await profiler.watch_children(of=os.getpid())
    for _ in range(2):
        start("n", 100).run()
    found = (await session.detach()).syscalls
    assert (found["getppid"].calls, found["execve"].calls, found["exit_group"].calls) == (200, 2, 2)


async def test_counting_goes_on_beside_a_full_trace_of_the_same_profiler(
    profiler: Profiler, start: Start, tmp_path: Path
) -> None:
    require("strace")
    workload = start("threads", 200, 3)
    session = await profiler.attach(workload.pid)
    output = os.open(tmp_path / "trace", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        recording = await profiler.record(workload.pid, output, RecordOptions())
        assert session.tracer == "ebpf"
        assert session.recording is None
        assert workload.run() == 0
        await recording.wait()
    finally:
        os.close(output)
    result = await session.result()
    assert (result.tracer, result.quality.kind) == ("ebpf", "exact")
    assert result.syscalls["getppid"].calls == 600
    assert (tmp_path / "trace").read_bytes().count(b"getppid(") == 600
