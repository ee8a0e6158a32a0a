"""Many jobs at once through one Profiler: the count of each is right."""

from __future__ import annotations

import asyncio
import sys

import pytest

from straced import Profiler, Session
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc"), pytest.mark.limit(120)]
JOBS = 200
AT_ONCE = {"ebpf": 200, "strace": 20}
"""Of those that are being attached to; all 200 are attached at the same time."""


async def test_200_jobs_at_once(tracer: str, start: Starter) -> None:
    workloads = [start("n", 100 + number) for number in range(JOBS)]
    room = asyncio.Semaphore(AT_ONCE[tracer])

    async def attach(profiler: Profiler, pid: int) -> Session:
        async with room:
            return await profiler.attach(pid)

    async with Profiler(tracer) as profiler:
        sessions = await asyncio.gather(*(attach(profiler, workload.pid) for workload in workloads))
        for workload in workloads:
            workload.go()
        for workload in workloads:
            await asyncio.to_thread(workload.channel.expect, "done", 60)
        for workload in workloads[::2]:
            workload.let_end()
        found = await asyncio.gather(*(session.detach() for session in sessions))
    counts = {summary.target.pid: summary.syscalls["getppid"].calls for summary in found}
    assert counts == {workload.pid: 100 + number for number, workload in enumerate(workloads)}
    assert {summary.quality.lost for summary in found} == {0}


async def test_60_programs_started_and_asked_for_their_result(tracer: str) -> None:
    code = "import os, sys; [os.getppid() for _ in range(int(sys.argv[1]))]"
    room = asyncio.Semaphore(10)

    async def job(profiler: Profiler, number: int) -> tuple[int | None, int]:
        async with room:
            session = await profiler.spawn([sys.executable, "-S", "-c", code, str(number)])
            assert session.process is not None
            await session.process.wait()
            result = await session.result()
            return result.syscalls["getppid"].calls, session.process.returncode or 0

    numbers = range(1000, 1060)
    async with Profiler(tracer) as profiler:
        found = await asyncio.gather(*(job(profiler, number) for number in numbers))
    assert found == [(number, 0) for number in numbers]
