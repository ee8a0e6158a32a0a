"""The accuracy table for eBPF, five times, nothing unseen; eBPF and strace agree to 0; no attach interrupts a call."""

from __future__ import annotations

import asyncio

import pytest

from straced import Profiler
from straced.tracers.ebpf import preemption
from tests.accuracy.test_strace import counted, measure
from tests.accuracy.truth import TRUTH, Truth
from tests.faults.test_threads import INTERRUPTED, TRANSPARENT, remove_ipc
from tests.support import proc
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("ebpf", "cc")
RUNS = 5


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_exact_five_times(start: Starter, truth: Truth) -> None:
    async with Profiler(tracer="ebpf") as profiler:
        for _ in range(RUNS):
            summary = await measure(profiler, start, truth)
            assert (summary.quality.kind, summary.quality.lost) == ("exact", 0)
            assert {name: counted(summary, name) for name in truth.calls} == truth.calls
            for row in summary.rows:
                assert row.calls is not None
                assert sum((row.errno or {}).values()) == row.errors
                if row.wall_ns is None:  # of calls whose begin or end nobody saw there is no time
                    assert (row.working_ns, row.waiting_ns, row.max_ns) == (None, None, None)
                    continue
                assert row.wall_ns == (row.working_ns or 0) + (row.waiting_ns or 0)


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_exact_by_the_programs_for_other_kernels(
    start: Starter, monkeypatch: pytest.MonkeyPatch, truth: Truth
) -> None:
    """Those that no task can be preempted in, which Linux 7.0 and later get: here they are forced."""
    monkeypatch.setattr(preemption, "programs_are_preempted", lambda: True)
    async with Profiler(tracer="ebpf") as profiler:
        for _ in range(RUNS):
            summary = await measure(profiler, start, truth)
            assert (summary.quality.kind, summary.quality.lost) == ("exact", 0)
            assert {name: counted(summary, name) for name in truth.calls} == truth.calls


@pytest.mark.needs("strace")
@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_strace_and_ebpf_agree(start: Starter, truth: Truth) -> None:
    found = []
    for tracer in ("ebpf", "strace"):
        async with Profiler(tracer=tracer) as profiler:
            summary = await measure(profiler, start, truth)
            found.append({name: counted(summary, name) for name in truth.calls if name not in truth.unseen})
    assert found[0] == found[1]


async def test_no_blocking_call_is_interrupted(start: Starter) -> None:
    """Those too that an attach of ptrace makes return EINTR."""
    calls = [*TRANSPARENT, *INTERRUPTED]
    workloads = {call: start("block", call) for call in calls}
    try:
        for call, workload in workloads.items():
            workload.go()
            await auntil(lambda pid=workload.pid: proc.state(pid) == "S", what=f"{call} blocks")  # type: ignore[misc]
        async with Profiler(tracer="ebpf") as profiler:
            for workload in workloads.values():
                for _ in range(3):
                    session = await profiler.attach(workload.pid)
                    assert (await session.detach()).rows == ()
        for call, workload in workloads.items():
            assert proc.state(workload.pid) == "S", call
            with pytest.raises(AssertionError, match="no 'returned'"):
                await asyncio.to_thread(workload.channel.expect, "returned", 0.02)
    finally:
        for workload in workloads.values():
            remove_ipc(workload.channel.heard)
