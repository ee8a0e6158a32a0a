"""The accuracy table for ``strace -c``: exact, three times; what it cannot know is null or said, never wrong.

Of `tracers/strace/counters.py`, `tracers/strace/session.py` and `tracers/overhead.py`.
"""

from __future__ import annotations

import asyncio

import pytest

from straced import Profiler
from straced.model.types import Summary
from tests.accuracy.truth import TRUTH, Truth
from tests.support import proc
from tests.support.needs import unavailable
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
RUNS = 3


async def measure(profiler: Profiler, start: Starter, truth: Truth, seconds: float = 60) -> Summary:
    if truth.i386 and start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    workload = start(*truth.argv, binary=start.gt32 if truth.i386 else None)  # type: ignore[arg-type]
    session = await profiler.attach(workload.pid)
    await workload.work(seconds)
    if truth.ends:
        await asyncio.to_thread(workload.let_end)
        return await session.result()
    summary = await session.detach()
    workload.kill()
    return summary


def counted(summary: Summary, name: str) -> tuple[int | None, int | None]:
    """Calls and errors of a name, over all ABIs."""
    rows = [row for row in summary.rows if row.name == name]
    assert len(rows) <= 1, "one row a name and ABI"
    return (rows[0].calls, rows[0].errors) if rows else (None, None)


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_exact_three_times(profiler: Profiler, start: Starter, truth: Truth) -> None:
    for _ in range(RUNS):
        summary = await measure(profiler, start, truth)
        for name, expected in truth.calls.items():
            if name in truth.unseen:
                assert counted(summary, name) in ((None, None), expected), name
                assert summary.quality.kind != "exact"
                assert summary.quality.reasons
            else:
                assert counted(summary, name) == expected, name
        assert summary.quality.kind in ("exact", "partial")
        assert summary.quality.lost == 0
        for row in summary.rows:
            assert (row.restarts, row.working_ns, row.waiting_ns, row.in_flight) == (None, None, None, None)
            assert row.calls is not None
            assert row.errors is not None
            assert row.errors <= row.calls
            assert row.wall_ns is not None
        assert summary.total.calls == sum(row.calls or 0 for row in summary.rows)


@pytest.mark.parametrize("truth", [truth for truth in TRUTH if truth.argv[0] not in ("pool", "nshort")],
                         ids=lambda truth: truth.name)  # fmt: skip
async def test_exact_from_the_first_instruction(profiler: Profiler, start: Starter, truth: Truth) -> None:
    """The same workloads started under trace: the start-up of a program makes calls of its own, so a few names only."""
    if truth.i386 and start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    binary = start.gt32 if truth.i386 else start.gt
    session = await profiler.spawn([str(binary), *map(str, truth.argv)], env={})
    assert await session.process.wait() == 0
    summary = await session.result()
    for name in {"getppid", "nanosleep", "vfork", "kill"} & set(truth.calls):
        assert counted(summary, name) == truth.calls[name], name
    assert counted(summary, "execve") == (1 + truth.calls.get("execve", (0, 0))[0], 0)
    assert summary.exit_status == 0


async def test_restarts_are_not_passed_off_as_errors(profiler: Profiler, start: Starter) -> None:
    """One read, restarted about a hundred times: -c counts each as an error, and the result says so."""
    summary = await measure(profiler, start, Truth(("sarestart", 100), {"read": (1, 0)}))
    assert any("restart" in reason.text for reason in summary.quality.reasons)
    assert summary.quality.kind != "exact"
    assert summary.syscalls["read"].restarts is None


async def test_a_call_in_flight_at_both_ends(profiler: Profiler, start: Starter) -> None:
    """Blocked in read all the time: it did not return in the window, so it is not counted, and that is said."""
    workload = start("block", "read")
    workload.go()
    await auntil(lambda: proc.state(workload.pid) == "S", what="it blocks")
    session = await profiler.attach(workload.pid)
    summary = await session.detach()
    assert counted(summary, "read") in ((None, None), (0, 0))
    assert any("in flight" in reason.text for reason in summary.quality.reasons)


async def test_the_overhead_is_always_estimated(profiler: Profiler, start: Starter) -> None:
    for count in (1, 20000):
        summary = await measure(profiler, start, Truth(("n", count), {"getppid": (count, 0)}))
        assert summary.quality.overhead.pct is not None
        assert summary.quality.overhead.pct > 0
        assert summary.quality.overhead.basis in ("calibrated", "at_least")


async def test_wall_and_cpu_time(profiler: Profiler, start: Starter) -> None:
    """A nap is wall time, not CPU time; which of the two stands in the result."""
    for time, low, high in (("wall", 40e6, 5e9), ("cpu", 0, 30e6)):
        workload = start("eintr", 20)
        session = await profiler.attach(workload.pid, time=time)
        await workload.work()
        summary = await session.detach()
        row = summary.syscalls["nanosleep"]
        assert summary.time == time
        spent = row.wall_ns if time == "wall" else row.working_ns
        assert spent is not None
        assert low <= spent <= high
        assert (row.wall_ns if time == "cpu" else row.working_ns) is None, "the other one is unknown"
