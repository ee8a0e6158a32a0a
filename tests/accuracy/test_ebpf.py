"""The accuracy table for eBPF, five times, nothing unseen; and eBPF and strace beside each other agree to 0."""

from __future__ import annotations

import pytest

from straced import Profiler
from tests.accuracy.test_strace import counted, measure
from tests.accuracy.truth import TRUTH, Truth
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
                assert row.wall_ns == (row.working_ns or 0) + (row.waiting_ns or 0)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth.name)
async def test_strace_and_ebpf_agree(start: Starter, truth: Truth) -> None:
    found = []
    for tracer in ("ebpf", "strace"):
        async with Profiler(tracer=tracer) as profiler:
            summary = await measure(profiler, start, truth)
            found.append({name: counted(summary, name) for name in truth.calls if name not in truth.unseen})
    assert found[0] == found[1]
