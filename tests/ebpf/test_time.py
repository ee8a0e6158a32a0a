"""Working is told from waiting, and eBPF counts what strace counts."""

from __future__ import annotations

import re
import subprocess
import time

from straced.tracers.ebpf import EbpfTracer
from tests.ebpf.conftest import Start
from tests.ebpf.counts import attach, row
from tests.ebpf.needs import require


async def test_working_and_waiting(tracer: EbpfTracer, start: Start) -> None:
    """A sleep of 100 ms waits; reading 100 MB of zeros works."""
    workload = start("sleepbusy", 100)
    session = await attach(tracer, workload.pid)
    workload.run()
    sample = await session.detach()
    sleep, read = row(sample, "clock_nanosleep"), row(sample, "read")
    assert sleep.wall_ns is not None
    assert sleep.waiting_ns is not None
    assert sleep.working_ns is not None
    assert sleep.wall_ns >= 100_000_000
    assert sleep.waiting_ns > 0.9 * sleep.wall_ns
    assert sleep.wall_ns == sleep.working_ns + sleep.waiting_ns
    assert read.working_ns is not None
    assert read.working_ns > 1_000_000
    for one in sample.rows:
        assert one.wall_ns == (one.working_ns or 0) + (one.waiting_ns or 0)
        if one.min_ns is not None:
            assert one.max_ns is not None
            assert one.min_ns <= one.max_ns <= (one.wall_ns or 0)


async def test_wall_time_is_that_of_the_program(tracer: EbpfTracer, start: Start) -> None:
    workload = start("io", 20000)
    session = await attach(tracer, workload.pid)
    begin = time.perf_counter_ns()
    workload.run()
    took_ns = time.perf_counter_ns() - begin
    sample = await session.detach()
    inside = sum(one.wall_ns or 0 for one in sample.rows)
    assert 0 < inside < took_ns


COMMAND = ("/bin/ls", "-la", "--color=never", "/usr/include/linux")


async def test_it_counts_what_strace_counts(tracer: EbpfTracer, start: Start) -> None:
    """The same command under both, each call; `-c` drops exit_group."""
    require("strace")
    gate = start("become", *COMMAND)
    session = await attach(tracer, gate.pid)
    gate.go()
    assert gate.process.stdout is not None
    listing = gate.process.stdout.read()
    assert gate.end() == 0
    sample = await session.detach()
    ours = {one.name: one.calls for one in sample.rows if one.name != "exit_group"}
    argv = ["strace", "-f", "-c", "-U", "calls,name", *COMMAND]
    done = subprocess.run(argv, capture_output=True, text=True)  # noqa: ASYNC221
    theirs = {name: int(count) for count, name in re.findall(r"^\s*(\d+)\s+(\w+)$", done.stderr, re.MULTILINE)}
    theirs.pop("total", None)
    assert listing.decode() == done.stdout
    assert ours == theirs
