"""Working is told from waiting, and eBPF counts what strace counts."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from pathlib import Path

from straced.linux import procfs
from straced.tracers.ebpf import EbpfTracer
from tests.support.cli import straced
from tests.support.needs import require
from tests.support.owner import environment
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, row


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


async def test_counting_goes_on_beside_a_full_trace(tracer: EbpfTracer, start: Start) -> None:
    """ptrace stops and restarts what it attaches to; the counts do not notice."""
    require("strace")
    workload = start("threads", 500, 4)
    session = await attach(tracer, workload.pid)
    argv = ["strace", "-f", "-o", "/dev/null", "-p", str(workload.pid)]
    strace = subprocess.Popen(argv, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        deadline = time.monotonic() + 10
        while procfs.tracer_pid(workload.pid) != strace.pid:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        workload.run()
    finally:
        strace.terminate()
        strace.wait(10)
    sample = await session.detach()
    assert row(sample, "getppid").calls == 2000
    assert row(sample, "restart_syscall").calls == 0
    assert all(one.in_flight == 0 for one in sample.rows)


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


def test_run_counts_what_strace_counts(tmp_path: Path) -> None:
    """The command line, on a command that forks and execs; each call of it, with its errors."""
    require("strace", "ebpf")
    (tmp_path / "a").write_text("x")
    command = ("/bin/sh", "-c", "for i in 1 2 3; do /bin/cat a none; done 2>/dev/null; exit 3")
    ours = straced("run", "--tracer", "ebpf", "--json", "--", *command, cwd=tmp_path)
    assert ours.status == 3
    rows = {row["name"]: (row["calls"], row["errors"]) for row in ours.json()["syscalls"]}
    argv = ["strace", "-f", "-c", "-U", "calls,errors,name", *command]
    environ = {
        **os.environ,
        **environment(),
        "NO_COLOR": "1",
    }  # as ours has: its size decides about calls of the loader
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=environ)
    theirs = re.findall(r"^\s*(\d+)\s+(\d*)\s+(\w+)$", done.stderr, re.MULTILINE)
    counted = {name: (int(calls), int(errors or 0)) for calls, errors, name in theirs if name != "total"}
    assert rows.pop("exit_group") == (4, 0)
    assert rows == counted
