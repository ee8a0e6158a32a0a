"""Ends of loops and of Profilers while something is under way; clean-ups that take their time.

Of `profiling/profiler_base.py`, `profiling/turns.py`, `profiling/attendance.py` and `profiling/tracer_set.py`.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from typing import Any

import pytest

from straced import Profiler, StraceManager
from straced.concurrency import children
from straced.errors import TracerUnavailable
from tests.library.belongings import Held, descriptors, helpers, settles_to
from tests.support.needs import require
from tests.support.owner import start_owner
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
    sampler = profiler._tracers.get("sampler")
    close = sampler.close

    async def closing() -> None:
        profiler._tracers.get("strace")  # what an attach does first
        await close()

    monkeypatch.setattr(sampler, "close", closing)
    await profiler.close()
    assert not session.alive


def test_a_cost_that_is_measured_while_the_programs_are_unloaded(start: Starter) -> None:
    """A session that sums itself up in this moment does that; what it gave back afterwards took the owner with it."""
    require("ebpf")
    owner = start_owner(
        start,
        """
        async def main():
            profiler = Profiler("ebpf")
            session = await profiler.attach(int(os.environ["TARGET"]))
            instance = session._inner._instance
            settle, measured, unloaded = instance.engine.settle, threading.Event(), threading.Event()
            def later():  # the kernel takes its time
                measured.wait(2) if not measured.is_set() else unloaded.wait(0.3)
                settle()
            instance.engine.settle = later
            closing = asyncio.create_task(instance.close())
            while instance.sessions:
                await asyncio.sleep(0)
            instance.call_cost_ns()
            measured.set()
            await closing
            unloaded.set()
            assert instance.call_cost_ns() is not None
            while others := asyncio.all_tasks() - {asyncio.current_task(), *session._attendants}:
                await asyncio.wait(others)
            say("lives")
        asyncio.run(main())
        """,
        env={"TARGET": str(start("tick").pid)},
    )
    owner.channel.expect("lives", 30)
    assert owner.process.wait(10) == 0


def test_the_end_of_a_program_that_has_just_ended(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Its status is asyncio's, which is told of the end by the loop: 255 and a warning were all that it had."""

    async def main() -> int:
        reader, writer = os.pipe()
        process = await children.start(["cat"], {"stdin": reader})  # it ends below, where no loop turns
        os.close(reader)
        pidfd = os.pidfd_open(process.pid)
        os.close(writer)
        select.select([pidfd], [], [])
        os.close(pidfd)
        await children.end(process)
        return await process.wait()

    if sys.version_info < (3, 12):
        watcher = asyncio.PidfdChildWatcher()
        policy = asyncio.get_event_loop_policy()
        monkeypatch.setattr(policy, "_watcher", watcher)
    assert asyncio.run(main()) == 0
    assert not caplog.records


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
        with anyio.move_on_after(0) as scope:
            await manager.detach(target.pid)
        assert scope.cancelled_caught
        assert turns < 200
        await manager.detach_all()

    anyio.run(main)
    assert target.untraced()
