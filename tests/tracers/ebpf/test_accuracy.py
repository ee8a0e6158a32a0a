"""Every call counted once: workloads with a known truth, five runs each, against the one rule for counting.

Of `tracers/ebpf/task_storage.py`.
"""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from straced.tracers.ebpf import EbpfTracer
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, calls, row

RUNS = 5
ROWS = {
    "n": (("n", 20000), {"getppid": 20000}),
    "threads": (("threads", 2000, 8), {"getppid": 16000}),
    "forks": (("forks", 2000, 8), {"getppid": 16000}),
    "vforks": (("vforks", 300), {"getppid": 300, "vfork": 300}),
    "shorts": (("shorts", 300), {"getppid": 300, "exit_group": 301}),
    "shortthreads": (("shortthreads", 300), {"getppid": 300}),
    "execs": (("execs", 100, 10), {"getppid": 1100, "execve": 10}),
    "threadexec": (("threadexec", 2000), {"getppid": 4000, "execve": 1}),
    "io": (("io", 2000), {"read": 2000, "write": 2000}),
    "unknown": (("unknown", 900), {"syscall_0x384": 900}),
    "seccomp": (("seccomp", 100), {"getpgid": 100}),
    "errs": (("errs", 1000), {"close": 1000, "openat": 1000, "read": 1000, "kill": 1000}),
    "everything": (("everything", 100), {"getppid": 700, "getpgid": 100, "vfork": 100}),
}


async def check_counts(tracer: EbpfTracer, start: Start, name: str) -> None:
    """One run of a row, every count compared with its truth."""
    (mode, *arguments), truth = ROWS[name]
    workload = start(mode, *arguments)
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    sample = await session.detach()
    assert sample.lost == 0
    assert sample.kind == "exact"
    assert dict(zip(truth, calls(sample, *truth), strict=True)) == truth
    assert all(one.in_flight == 0 for one in sample.rows)


async def check_restarts(tracer: EbpfTracer, start: Start) -> None:
    """A read that fifty signals interrupt is one call."""
    workload = start("sarestart", 50)
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    sample = await session.detach()
    found = row(sample, "readv")
    assert (found.calls, found.errors, found.in_flight) == (1, 0, 0)
    assert row(sample, "getpgid").calls == 50
    assert found.restarts is not None
    # a signal may come before the call is made again after the one before
    assert 1 <= found.restarts <= 50
    assert row(sample, "rt_sigreturn").errors == 0
    assert found.wall_ns is not None
    assert found.wall_ns > 50_000_000


@pytest.mark.parametrize("name", ROWS)
async def test_counts(name: str, tracer: EbpfTracer, start: Start) -> None:
    for _ in range(RUNS):
        await check_counts(tracer, start, name)


async def test_errors_by_errno(tracer: EbpfTracer, start: Start) -> None:
    for _ in range(RUNS):
        workload = start("errs", 1000)
        session = await attach(tracer, workload.pid)
        assert workload.run() == 0
        sample = await session.detach()
        assert row(sample, "close").errno == {"EBADF": 1000}
        assert row(sample, "openat").errno == {"ENOENT": 1000}
        assert row(sample, "read").errno == {"EBADF": 1000}
        assert row(sample, "kill").errno == {"ESRCH": 1000}
        assert sum(one.errors or 0 for one in sample.rows) == 4000


async def test_more_errnos_than_fit_a_row(tracer: EbpfTracer, start: Start) -> None:
    workload = start("manyerrs", 1, 50)
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    found = row(await session.detach(), "getpgid")
    assert found.errno is not None
    assert sorted(found.errno.values()) == list(range(1, 51))
    assert found.errno["ENOENT"] == 2
    assert found.calls == found.errors == 50 * 51 // 2


async def test_interrupted_sleeps_are_errors(tracer: EbpfTracer, start: Start) -> None:
    for _ in range(RUNS):
        workload = start("eintr", 100)
        session = await attach(tracer, workload.pid)
        assert workload.run() == 0
        found = row(await session.detach(), "clock_nanosleep")
        assert (found.calls, found.errors, found.errno, found.restarts) == (100, 100, {"EINTR": 100}, 0)
        assert found.in_flight == 0


async def test_restarted_read_is_one_call(tracer: EbpfTracer, start: Start) -> None:
    for _ in range(RUNS):
        await check_restarts(tracer, start)


async def test_stopped_and_continued_is_one_call(tracer: EbpfTracer, start: Start) -> None:
    workload = start("stopped", 10)
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    sample = await session.detach()
    assert calls(sample, "restart_syscall") == [0]
    (own,) = (one for one in sample.rows if one.name == "nanosleep" and one.pid == workload.pid)
    assert (own.calls, own.errors, own.in_flight) == (1, 0, 0)
    assert own.restarts == 10


@pytest.mark.parametrize("program", ["gt", "st32"])
async def test_32_bit_calls(tracer: EbpfTracer, start: Start, programs: object, program: str) -> None:
    workload = start("compat", 500, program=program)
    session = await attach(tracer, workload.pid)
    workload.run()
    sample = await session.detach()
    assert row(sample, "getppid", "i386").calls == 500
    assert row(sample, "getppid", "i386").nr == 64
    assert calls(sample, "getppid", "semget") == [0, 0]


async def test_in_flight(tracer: EbpfTracer, start: Start) -> None:
    """A read that began before the attach is not ours; one that has not ended is in flight; a killed one is done."""
    workload = start("blocked")
    session = await attach(tracer, workload.pid)
    workload.go()
    while row(sample := await session.read(), "read").in_flight != 1:
        assert workload.process.poll() is None
    assert row(sample, "read").calls == 1
    workload.process.kill()
    workload.end()
    sample = await session.detach()
    assert (row(sample, "read").calls, row(sample, "read").in_flight) == (1, 0)
    ending = await session.wait()
    assert (ending.reason, ending.exit_status) == ("killed(9)", -9)


async def test_attach_makes_no_phantom_calls(tracer: EbpfTracer, start: Start) -> None:
    """A hundred threads asleep: ptrace would make each call restart_syscall."""
    workload = start("idle", 1, 100)
    session = await attach(tracer, workload.pid)
    sample = await session.read()
    assert sample.threads == 101
    assert sample.rows == ()
    assert workload.run() == 0
    sample = await session.detach()
    assert calls(sample, "restart_syscall", "clock_nanosleep") == [0, 0]


async def test_threads_born_while_attaching(tracer: EbpfTracer, start: Start) -> None:
    """Four lineages of threads that live for microseconds: none of them escapes an attach."""
    workload = start("relay")
    names = ("getuid", "geteuid", "getgid", "getegid")
    for _ in range(50):
        session = await attach(tracer, workload.pid)
        first = calls(await session.read(), *names)
        deadline = time.monotonic() + 10
        while any(now == before for now, before in zip(calls(await session.read(), *names), first, strict=True)):
            assert time.monotonic() < deadline, "a lineage is not counted"
            await asyncio.sleep(0.001)
        await session.detach()


async def test_calls_in_the_vdso_are_invisible(tracer: EbpfTracer, start: Start) -> None:
    workload = start("vdso", 1_000_000)
    session = await attach(tracer, workload.pid)
    workload.run()
    assert calls(await session.detach(), "clock_gettime", "exit_group") == [0, 1]


async def test_a_name_cannot_hurt(tracer: EbpfTracer, start: Start) -> None:
    workload = start("oddname", 10)
    session = await attach(tracer, workload.pid)
    assert "\x1b" not in session.target.comm
    assert workload.run() == 0
    assert calls(await session.detach(), "getppid") == [10]


@pytest.mark.limit(240)
async def test_millions_of_calls_from_eight_threads(tracer: EbpfTracer, start: Start) -> None:
    """So many that adds which are not atomic would lose some; twenty million in ``make soak``."""
    each = 2_500_000 if os.environ.get("STRACED_SOAK") else 500_000
    workload = start("threads", each, 8)
    session = await attach(tracer, workload.pid)
    workload.run()
    found = row(sample := await session.detach(), "getppid")
    assert found.calls == 8 * each
    assert sample.lost == 0
    assert found.histogram is not None
    assert sum(found.histogram) == 8 * each


@pytest.mark.parametrize("per_thread", [False, True])
async def test_ten_thousand_brief_threads_read_at_100_hz(tracer: EbpfTracer, start: Start, per_thread: bool) -> None:
    workload = start("brief", 10_000, 20)
    session = await attach(tracer, workload.pid, per_thread=per_thread)
    waiting = asyncio.ensure_future(session.wait())
    workload.go()
    last = 0
    while not waiting.done():
        sample = await session.read()
        seen = row(sample, "getppid").calls or 0
        assert seen >= last
        last = seen
        await asyncio.wait([waiting], timeout=0.01)
    workload.end()
    sample = await session.detach()
    assert sample.lost is not None
    assert (row(sample, "getppid").calls or 0) + sample.lost == 10_000
    assert sample.threads == 10_001
