"""A session says why it was let go of, whatever counted it; the reason given first stands.

Of `profiling/limits.py`.
"""

from __future__ import annotations

import pytest

from straced import Profiler
from tests.support.needs import require
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]


@pytest.mark.parametrize("tracer", ["ebpf", "strace", "sampler"])
async def test_the_first_reason_stands(tracer: str, start: Starter) -> None:
    if tracer == "ebpf":
        require("ebpf")
    async with Profiler(tracer) as profiler:
        plain, given, twice = [await profiler.attach(start("tick").pid) for _ in range(3)]
        assert (await plain.detach()).end == "detached"
        assert (await given.detach("duration")).end == "duration"
        twice.request_stop("duration")
        assert (await twice.detach()).end == "duration"
        assert (await given.wait()).reason == "duration"
