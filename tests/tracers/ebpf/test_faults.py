"""Where a tool or a look-up goes wrong: what perf loses we count, and what cannot be seen is not made up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.errors import NoSuchProcess
from straced.linux import procfs
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
from tests.support.cli import popen_straced, straced
from tests.support.needs import require
from tests.support.owner import NOBODY
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, calls, row


@contextlib.contextmanager
def perf_trace(pid: int, report: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``perf trace -s`` on a process, counting; it needs tracefs, which it gets in a mount namespace of its own."""
    require("perf", "unshare", "root")
    tracefs = "umount -q /sys/kernel/tracing; mount -t tracefs none /sys/kernel/tracing"  # it may be mounted already
    mount = tracefs + " && exec perf trace -s -o {} -p {}"
    argv = ["unshare", "-m", "sh", "-c", mount.format(report, pid)]
    perf = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while _perf_events(perf.pid) < 2 or procfs.stat(perf.pid).state != "S":
            assert perf.poll() is None, "perf does not start"
            assert time.monotonic() < deadline, "perf does not begin"
            time.sleep(0.01)
        yield perf
    finally:
        perf.send_signal(signal.SIGINT)
        try:
            perf.wait(20)
        except subprocess.TimeoutExpired:
            perf.kill()
            perf.wait(10)


def _perf_events(pid: int) -> int:
    found = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found += "perf_event" in os.readlink(f"/proc/{pid}/fd/{name}")
    return found


async def test_threads_and_children_of_an_attached_process(tracer: EbpfTracer, start: Start) -> None:
    """Where ``perf trace -p`` sees none of them."""
    for mode in ("threads", "forks"):
        workload = start(mode, 2000, 8)
        session = await attach(tracer, workload.pid)
        assert workload.run() == 0
        sample = await session.detach()
        assert (calls(sample, "getppid"), sample.lost, sample.kind) == ([16000], 0, "exact")


async def test_exact_where_perf_counts_short(tracer: EbpfTracer, start: Start, tmp_path: Path) -> None:
    """perf -s loses some silently (it may or may not in one run); we lose none, beside it too, and nobody adds any."""
    workload = start("io", 10_000)
    session = await attach(tracer, workload.pid)
    report = tmp_path / "perf"
    with perf_trace(workload.pid, report):
        assert workload.run() == 0
    sample = await session.detach()
    assert (calls(sample, "read", "write"), sample.lost, sample.kind) == ([10_000, 10_000], 0, "exact")
    seen = {name: int(count) for name, count in re.findall(r"^\s+(\w+)\s+(\d+) ", report.read_text(), re.MULTILINE)}
    assert 0 < seen["write"] <= 10_000
    assert 0 < seen["read"] <= 10_001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_by_any_signal_has_a_summary(start: Start, number: signal.Signals) -> None:
    """perf gives none on SIGTERM."""
    require("ebpf")
    workload = start("n", 10_000_000_000)
    workload.go()
    process = popen_straced("attach", "--tracer", "ebpf", "--json", "-i", "50ms", workload.pid)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline()]
        while lines[-1] and not json.loads(lines[-1])["syscalls"]:  # a busy machine did not let it run in that window
            lines.append(process.stdout.readline())
        process.send_signal(number)
        rest, err = process.stdout.read(), process.stderr.read()  # communicate() may find a line begun by readline()
        process.wait(20)
        assert lines[-1], err
        windows = [json.loads(line) for line in (*lines, *rest.splitlines())]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert {row["name"] for window in windows for row in window["syscalls"]} == {"getppid"}
    assert {window["tracer"] for window in windows} == {"ebpf"}
    assert windows[-1]["end"] == "detached"
    assert workload.process.poll() is None


def test_a_bad_pid_and_no_rights_are_told_apart(start: Start, programs: Path) -> None:
    """perf says "Problems parsing the target" and ends with 255."""
    require("ebpf", "root", "setpriv")
    ended = start("n", 1)
    ended.run()
    straced("attach", "--tracer", "ebpf", ended.pid).assert_clear_error(3)
    straced("attach", "--tracer", "ebpf", start("blocked").pid, prefix=NOBODY).assert_clear_error(4)
    words = (*NOBODY[1:], str(programs / "gt"), "blocked")
    own = start(*words, program="../../../usr/bin/setpriv", held=True)
    refused = straced("attach", "--tracer", "ebpf", own.pid, prefix=NOBODY)
    refused.assert_clear_error(5)
    assert "CAP_BPF" in refused.err


async def test_threads_in_flight_at_the_attach(tracer: EbpfTracer, start: Start) -> None:
    """Ten times attached to a process that stands in a read, which returns under the last one: it is nobody's call."""
    workload = start("n", 10)
    for _ in range(10):
        session = await attach(tracer, workload.pid)
        assert (await session.detach()).rows == ()
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    sample = await session.detach()
    assert calls(sample, "read", "getppid", "exit_group") == [0, 10, 1]
    assert all(one.in_flight == 0 for one in sample.rows)


async def test_processes_that_vanish_while_they_are_looked_at(tracer: EbpfTracer, start: Start) -> None:
    """Attached to a process whose children live for microseconds under a name that breaks naive parsers."""
    workload = start("churn")
    workload.go()
    sample = None
    for _ in range(50):
        session = await attach(tracer, workload.pid)
        deadline = time.monotonic() + 10
        while row(sample := await session.read(), "exit_group").calls == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
        await session.detach()
    assert sample is not None
    assert sample.kind == "exact"
    assert workload.process.stdin is not None
    workload.process.stdin.close()
    assert workload.end() == 0


async def test_a_target_that_goes_between_look_up_and_attach(tracer: EbpfTracer, start: Start) -> None:
    """Gone, and not an empty summary."""
    workload = start("n", 1)
    target = procfs.target(workload.pid)
    workload.run()
    with pytest.raises(NoSuchProcess):
        await tracer.attach(target, AttachOptions())


async def test_work_through_io_uring_is_not_seen(tracer: EbpfTracer, start: Start) -> None:
    """Thirty-two writes an io_uring_enter: that one is counted, and no write is made up."""
    workload = start("uring", 100)
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    assert calls(await session.detach(), "io_uring_enter", "write", "exit_group") == [100, 0, 1]


async def test_doctor_says_what_is_invisible(start: Start) -> None:
    workload = start("uring", 1)
    said = straced("doctor").out
    assert "vDSO" in said
    assert "io_uring" in said
    assert "io_uring  it has 1: what goes through is unseen" in straced("doctor", workload.pid).out
