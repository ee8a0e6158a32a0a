"""Session.every: bad intervals are refused at once, and a wait that is cancelled leaves nothing.

Of `profiling/arguments.py`, `profiling/session.py` and `profiling/readings.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from straced import Profiler
from straced.errors import InvalidArgument, NotLive
from tests.library.belongings import tasks
from tests.support.needs import require
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None, True])
async def test_what_is_no_interval(seconds: Any, start: Starter) -> None:
    async with Profiler("sampler") as profiler:
        session = await profiler.attach(start("tick").pid)
        with pytest.raises(InvalidArgument, match="interval"):
            session.every(seconds)


async def test_strace_says_at_once_that_it_has_no_windows(profiler: Profiler, start: Starter) -> None:
    session = await profiler.attach(start("tick").pid)
    with pytest.raises(NotLive):
        session.every(3600)
    await session.detach()
    assert [window async for window in session.every(3600)] == []


async def test_a_cancelled_window_leaves_no_task(start: Starter) -> None:
    require("ebpf")
    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(start("tick").pid)
        before = tasks()
        for _ in range(20):
            waiting = asyncio.ensure_future(anext(session.every(3600)))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
        assert tasks() == before


async def test_a_late_reader_of_windows_lets_others_run(start: Starter) -> None:
    require("ebpf")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(start("tick").pid)
        beside = asyncio.create_task(others())
        windows = session.every(1e-9)
        for _ in range(20):
            await anext(windows)
        beside.cancel()
    assert turns >= 20
