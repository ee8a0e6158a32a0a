"""Ends of loops and of Profilers while something is under way; clean-ups that take their time."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from straced import Profiler, StraceManager
from straced.errors import TracerUnavailable
from tests.library.belongings import Held, descriptors, helpers, settles_to
from tests.support.needs import require
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]
TURNS = 16


def test_a_loop_that_is_closed_in_the_middle_of_an_attach(tracer: str, start: Starter) -> None:
    target = start("tick")
    held = []

    async def main(turns: int) -> None:
        held.append(asyncio.create_task(profiler.attach(target.pid)))
        for _ in range(turns):
            await asyncio.sleep(0)

    async def rest() -> None:
        await profiler.close()

    for turns in range(TURNS):
        before = descriptors()
        profiler = Profiler(tracer)
        asyncio.run(main(turns))
        task = held.pop()
        assert task.cancelled() or profiler.sessions == [task.result()]
        if task.cancelled():
            assert helpers() == 0
            assert target.untraced()
            assert not any("bpf" in what for what in descriptors() - before)
        asyncio.run(rest())
        until(lambda: not descriptors() - before, what="no descriptor is left")  # noqa: B023
    assert target.runs()


async def test_an_attach_that_is_under_way_when_its_profiler_closes(tracer: str, start: Starter) -> None:
    target = start("tick")
    before = Held(target.pid)
    given_up = 0
    for turns in range(TURNS):
        profiler = Profiler(tracer)
        attaching = asyncio.create_task(profiler.attach(target.pid))
        for _ in range(turns):
            await asyncio.sleep(0)
        await profiler.close()
        try:
            session = await attaching
        except TracerUnavailable:
            given_up += 1
        else:
            assert not session.alive or turns == 0
            await profiler.close()
        await settles_to(before, f"a close in the middle of an attach, after {turns} turns,")
    assert given_up > 0


async def test_a_tracer_that_an_attach_takes_while_its_profiler_closes(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when StraceManager.detach_all() comes while others attach: it raised a RuntimeError."""
    profiler = Profiler("sampler")
    session = await profiler.attach(start("tick").pid)
    sampler = profiler._tracer("sampler")
    close = sampler.close

    async def closing() -> None:
        profiler._tracer("strace")  # what an attach does first
        await close()

    monkeypatch.setattr(sampler, "close", closing)
    await profiler.close()
    assert not session.alive


def test_a_scope_of_anyio_does_not_turn_the_loop_while_it_waits(
    start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("anyio")
    import anyio

    target = start("tick")
    turns = 0
    run_once = asyncio.BaseEventLoop._run_once  # type: ignore[attr-defined]

    def counted(loop: asyncio.BaseEventLoop) -> None:
        nonlocal turns
        turns += 1
        run_once(loop)

    async def main() -> None:
        nonlocal turns
        manager = StraceManager()
        assert await manager.attach(target.pid)
        for pid in manager.get_strace_pids():
            os.kill(pid, signal.SIGSTOP)  # it hears of its end by SIGKILL only, after two seconds
        monkeypatch.setattr(asyncio.BaseEventLoop, "_run_once", counted)
        turns = 0
        with anyio.move_on_after(0.01) as scope:
            await manager.detach(target.pid)
        assert scope.cancelled_caught
        assert turns < 200
        await manager.detach_all()

    anyio.run(main)
    assert target.untraced()
