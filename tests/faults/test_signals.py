"""Signals to the tracer, from anybody, in any state.

Of `tracers/strace/guard/kernel.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest

from straced import Profiler, StraceManager
from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import auntil
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")
POLITE = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM]
KINDS: dict[str, tuple[object, ...]] = {
    "ticking": ("tick",),
    "spinning": ("spin",),
    "computing": ("compute",),
    "idle": ("pause",),
    "threads": ("busy", 30),
}


def unharmed(workload: Workload) -> bool:
    return workload.untraced() and proc.state(workload.pid) in ("S", "R")


@pytest.mark.parametrize("number", POLITE)
async def test_polite_signals_end_the_tracer_only(profiler: Profiler, start: Starter, number: signal.Signals) -> None:
    workload = start("spin", 100, go=False)
    session = await profiler.attach(workload.pid)
    workload.go()
    await asyncio.to_thread(workload.channel.expect, "lap")
    os.kill(session.helper_pids[0], number)
    await asyncio.wait_for(session.wait(), 5)
    summary = await session.result()
    assert summary.syscalls["getppid"].calls == 100, "what was counted is kept"
    await auntil(lambda: unharmed(workload), 3)


@pytest.mark.parametrize("number", [*POLITE, signal.SIGKILL])
async def test_a_spawned_program_outlives_its_tracer(
    manager: StraceManager, start: Starter, number: signal.Signals
) -> None:
    process = await manager.spawn([str(start.gt), "tick"], env={})
    start.owns(process.pid)
    (helper,) = manager.get_strace_pids()
    os.kill(helper, number)
    await auntil(lambda: manager.get_strace_pids() == [], 3, "the tracer ends within a second or so")
    await auntil(lambda: proc.tracer(process.pid) == 0 and proc.state(process.pid) in ("S", "R"), 3)
    assert process.returncode is None
    assert proc.parent(process.pid) == os.getpid(), "it is still the caller's own child"
    process.kill()
    assert await process.wait() == -9


@pytest.mark.parametrize("how", ["blocked", "ignored"])
def test_an_owner_that_blocks_or_ignores_signals(start: Starter, how: str) -> None:
    target = start("n", 25)
    owner = start_owner(
        start,
        """
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGQUIT, signal.SIGHUP, signal.SIGPIPE]
        if os.environ["HOW"] == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        else:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
        async def main():
            pid = int(os.environ["TARGET"])
            manager = StraceManager()
            assert await manager.attach(pid)
            say("attached"); await ahear()
            started = time.monotonic()
            result = await manager.detach(pid)
            say("count", result["syscall_counts"]["getppid"], time.monotonic() - started < 1.0)
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid), "HOW": how},
    )
    owner.channel.expect("attached")
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "25 True"
    owner.process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_a_tracer_killed_while_it_starts(profiler: Profiler, start: Starter, number: signal.Signals) -> None:
    """strace forks tests of itself in its first milliseconds; killed then, it would leave one frozen."""
    workload = start("tick")
    hits = 0
    for step in range(12):
        task = asyncio.ensure_future(profiler.attach(workload.pid))
        deadline = time.monotonic() + 2
        while not (helpers := young_straces()) and not task.done() and time.monotonic() < deadline:
            await asyncio.sleep(0)
        for _ in range(step * 8):
            await asyncio.sleep(0)
        for pid in helpers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                hits += 1
        (answer,) = await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10)
        if not isinstance(answer, BaseException):
            await asyncio.wait_for(answer.detach(), 10)
        await auntil(lambda: unharmed(workload), 3)
    assert hits


def young_straces() -> list[int]:
    """Helpers of this process, found by descent: the guard's children, but the one that waits to become a strace."""
    return [
        pid
        for guard in proc.children(os.getpid())
        if "guard" in " ".join(proc.cmdline(guard))
        for pid in proc.children(guard)
        if proc.alive(pid) and proc.comm(pid) != "straced-spare"
    ]


async def _kill(helper: int) -> None:
    os.kill(helper, signal.SIGKILL)


async def _stop_then_kill(helper: int) -> None:
    os.kill(helper, signal.SIGSTOP)
    os.kill(helper, signal.SIGKILL)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [_kill, _stop_then_kill], ids=["f67 killed", "f68 stopped then killed"])
async def test_a_killed_tracer_harms_nothing(
    profiler: Profiler, start: Starter, kind: str, way: Callable[[int], Awaitable[None]]
) -> None:
    workload = start(*KINDS[kind])  # type: ignore[arg-type]
    noticed_s = []
    for _ in range(4):
        session = await profiler.attach(workload.pid)
        (helper,) = session.helper_pids
        await way(helper)
        killed = time.monotonic()
        ending = await asyncio.wait_for(session.wait(), 20)
        noticed_s.append(time.monotonic() - killed)
        assert ending.reason in ("tracer_crashed(9)", "lost")
        summary = await session.result()
        assert summary.quality.kind == "lossy"
        assert summary.total.calls is None
        await auntil(lambda: unharmed(workload), 3)
    assert statistics.median_low(noticed_s) < 0.5, "at once, but for a moment in which the whole machine stood still"


async def test_a_tracer_that_was_killed_before_it_was_to_stop(profiler: Profiler, start: Starter) -> None:
    """Its guard, which the machine lets wait, hears of both at once: it was not the stop that ended it."""
    workload = start("tick")
    session = await profiler.attach(workload.pid)
    (helper,) = session.helper_pids
    guard = proc.parent(helper)
    os.kill(guard, signal.SIGSTOP)
    try:
        await auntil(lambda: proc.state(guard) == "T", what="the guard stands still")
        os.kill(helper, signal.SIGKILL)
        await auntil(lambda: not proc.alive(helper), what="its strace is dead")
        detaching = asyncio.ensure_future(session.detach())
        await auntil(lambda: session._inner._helpers[0].stopping, what="the guard is told to stop it")
    finally:
        os.kill(guard, signal.SIGCONT)
    summary = await asyncio.wait_for(detaching, 20)
    assert (summary.end, summary.quality.kind) == ("tracer_crashed(9)", "lossy")
    assert unharmed(workload)


async def test_the_manager_notices_too(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    os.kill(manager.get_strace_pids()[0], signal.SIGKILL)
    await auntil(lambda: manager.attached_pids == [], 3, "it drops out")
    result = await manager.detach(workload.pid)
    assert result is None or result["quality"]["kind"] == "lossy"
    assert await manager.attach(workload.pid), "and it can be attached again"
    assert await manager.detach(workload.pid) is not None
    assert workload.runs()


async def test_a_killed_guard_harms_nothing(manager: StraceManager, start: Starter) -> None:
    workloads = [start("tick"), start("busy", 20)]
    for _ in range(3):
        for workload in workloads:
            assert await manager.attach(workload.pid)
        guards = {proc.parent(helper) for helper in manager.get_strace_pids()}
        helpers = manager.get_strace_pids()
        for guard in guards:
            os.kill(guard, signal.SIGKILL)
        await auntil(lambda helpers=helpers: not any(proc.alive(pid) for pid in helpers), 3, "no tracer is left")  # type: ignore[misc]
        for workload in workloads:
            await auntil(lambda workload=workload: unharmed(workload), 3)  # type: ignore[misc]
        await auntil(lambda: manager.attached_pids == [], 3, "noticed")
    assert await manager.attach(workloads[0].pid), "a new guard serves"
    assert await manager.detach(workloads[0].pid) is not None
