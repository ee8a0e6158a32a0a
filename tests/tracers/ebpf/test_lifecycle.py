"""Attaching, letting go, and what is left behind: nothing.

Of `tracers/ebpf/instance.py` and `tracers/ebpf/shared_memory.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from straced.errors import NoSuchProcess, OwnProcess, ProtectedTarget, TargetIsZombie
from straced.linux import procfs
from straced.model.types import Target
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
from straced.tracers.ebpf.engine import PROGRAMS, Engine
from tests.support.needs import require
from tests.support.poll import auntil, until
from tests.tracers.ebpf.conftest import Start
from tests.tracers.ebpf.counts import attach, calls, row


def programs_of(pid: int) -> set[int]:
    """The ids of the programs a process holds."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{name}") as file:
            found |= {int(line.split()[1]) for line in file if line.startswith("prog_id:")}
    return found


def loaded(programs: set[int]) -> bool:
    """Whether the kernel has any of these."""
    require("bpftool")
    listed = json.loads(subprocess.run(["bpftool", "-j", "prog", "list"], capture_output=True, check=True).stdout)
    return bool(programs & {program["id"] for program in listed})


async def test_nothing_is_attached_without_a_target(tracer: EbpfTracer, start: Start) -> None:
    workload = start("n", 10)
    session = await attach(tracer, workload.pid)
    (instance,) = tracer._instances
    assert instance.engine.running
    await session.detach()
    assert not instance.engine.running


async def test_close_takes_everything_out_of_the_kernel(start: Start) -> None:
    require("ebpf")
    tracer = EbpfTracer()
    workload = start("n", 10)
    await attach(tracer, workload.pid)
    programs = programs_of(os.getpid())
    assert len(programs) >= len(PROGRAMS)
    assert loaded(programs)
    await tracer.close()
    await tracer.close()
    until(lambda: not loaded(programs))


async def test_read_does_not_detach_and_detach_is_idempotent(tracer: EbpfTracer, start: Start) -> None:
    workload = start("io", 100)
    session = await attach(tracer, workload.pid)
    assert calls(await session.read(), "write") == [0]
    workload.run()
    assert calls(await session.read(), "write") == [100]
    first = await session.detach()
    assert first == await session.detach() == await session.read()
    assert session.helper_pids == []


async def test_memory_is_given_back(tracer: EbpfTracer, start: Start) -> None:
    """A thousand sessions use no more rows than one."""
    workload = start("blocked")
    used = []
    for _ in range(100):
        session = await attach(tracer, workload.pid)
        await session.detach()
        while tracer._instances[0]._releases:
            await asyncio.sleep(0)
        used.append(tracer._instances[0].engine.control.next_owner)
    assert used[-1] <= 4


async def test_the_loop_turns_while_memory_is_given_back(
    tracer: EbpfTracer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes as long as the slowest CPU to say that nobody uses it any more, twice: never in the loop."""
    session = await attach(tracer, start("n", 10).pid)
    (instance,) = tracer._instances
    settle, where = instance.engine.settle, list[threading.Thread]()

    def noted() -> None:
        where.append(threading.current_thread())
        settle()

    monkeypatch.setattr(instance.engine, "settle", noted)
    await session.detach()
    await auntil(lambda: instance.is_idle)
    assert len(where) >= 2
    assert threading.current_thread() not in where


async def test_ending_of_the_target(tracer: EbpfTracer, start: Start) -> None:
    child = start("-c", "read x; exit 7", program="../../../bin/sh", ready=False)
    session = await attach(tracer, child.pid)
    assert child.process.stdin is not None
    child.process.stdin.write(b"x\n")
    ending = await asyncio.wait_for(session.wait(), 5)
    assert (ending.reason, ending.exit_status) == ("exited", 7)
    assert child.end() == 7


async def test_two_sessions_on_one_target_count_alike(tracer: EbpfTracer, start: Start) -> None:
    workload = start("n", 1000)
    one = await attach(tracer, workload.pid)
    other = await attach(tracer, workload.pid)
    workload.run()
    assert calls(await one.detach(), "getppid") == calls(await other.detach(), "getppid") == [1000]


async def test_per_thread_rows(tracer: EbpfTracer, start: Start) -> None:
    workload = start("family", 3)
    session = await attach(tracer, workload.pid, per_thread=True)
    workload.go()
    assert workload.process.stdout is not None
    assert os.read(workload.process.stdout.fileno(), 1) == b"d"
    sample = await session.read()
    tids = {one.tid for one in sample.rows if one.name == "getcpu"}
    assert len(tids) == 3
    assert all(one.tid == one.pid for one in sample.rows if one.tid is not None)


async def test_without_follow_children_are_not_counted(tracer: EbpfTracer, start: Start) -> None:
    workload = start("forks", 100, 3)
    session = await attach(tracer, workload.pid, follow=False)
    workload.run()
    sample = await session.detach()
    assert calls(sample, "getppid") == [0]
    assert sample.processes == 1


async def test_descendants_that_live_already(tracer: EbpfTracer, start: Start) -> None:
    workload = start("family", 5)
    workload.go()
    assert workload.process.stdout is not None
    assert os.read(workload.process.stdout.fileno(), 1) == b"d"
    session = await attach(tracer, workload.pid)
    assert workload.process.stdin is not None
    workload.process.stdin.close()
    assert workload.end() == 0
    sample = await session.detach()
    assert sample.processes == 6
    assert calls(sample, "exit_group", "close", "wait4") == [6, 1, 6]


async def test_watch_children_counts_what_we_start(tracer: EbpfTracer, start: Start) -> None:
    session = await tracer.mark_children(os.getpid())
    workload = start("n", 321)
    workload.run()
    sample = await session.detach()
    assert calls(sample, "getppid") == [321]
    assert row(sample, "execve").calls == 1
    assert all(one.pid != os.getpid() for one in sample.rows)


async def test_events(tracer: EbpfTracer, start: Start) -> None:
    shell = start("-c", "read x; /bin/true; exit 3", program="../../../bin/sh", ready=False)
    session = await attach(tracer, shell.pid)

    async def collect() -> list[tuple[str, int | None]]:
        return [(event.kind, event.exit_status) async for event in session.events()]

    collecting = asyncio.create_task(collect())
    await asyncio.sleep(0)
    assert shell.process.stdin is not None
    shell.process.stdin.write(b"x\n")
    await asyncio.wait_for(session.wait(), 5)
    await session.detach()
    found = await asyncio.wait_for(collecting, 5)
    assert [kind for kind, _ in found] == ["fork", "exec", "exit", "exit"]
    assert [status for kind, status in found if kind == "exit"] == [0, 3]


async def test_events_that_find_the_ring_full_are_counted(tracer: EbpfTracer, start: Start) -> None:
    """Nobody reads while 4000 processes begin and end: seen and lost add up."""
    workload = start("shorts", 4000)
    session = await attach(tracer, workload.pid)
    seen = 0

    async def collect() -> None:
        nonlocal seen
        async for _ in session.events():
            seen += 1

    collecting = asyncio.create_task(collect())
    await asyncio.sleep(0)
    workload.run()
    await session.detach()
    await asyncio.wait_for(collecting, 10)
    assert session.events_lost > 0
    assert seen + session.events_lost == 2 * 4000 + 1


async def test_targets_that_cannot_be_had(tracer: EbpfTracer, start: Start) -> None:
    with pytest.raises(OwnProcess):
        await attach(tracer, os.getpid())
    if os.readlink("/proc/self/ns/pid") == "pid:[4026531836]":
        with pytest.raises(ProtectedTarget):
            await attach(tracer, 1)
    workload = start("n", 1)
    target = procfs.target(workload.pid)
    workload.go()
    until(lambda: procfs.stat(workload.pid).state == "Z")
    with pytest.raises(TargetIsZombie):
        await tracer.attach(target, AttachOptions())
    workload.end()
    with pytest.raises(NoSuchProcess):
        await tracer.attach(target, AttachOptions())
    other = Target(pid=os.getppid(), start_ticks=1, boot_id=target.boot_id)
    with pytest.raises(NoSuchProcess):
        await tracer.attach(other, AttachOptions())


async def test_full_memory_is_told(start: Start) -> None:
    """Calls that find no room are counted as lost, one by one."""
    require("ebpf")
    tracer = EbpfTracer(rows=12)
    try:
        workload = start("family", 4)
        session = await attach(tracer, workload.pid)
        workload.go()
        assert workload.process.stdout is not None
        assert os.read(workload.process.stdout.fileno(), 1) == b"d"
        assert workload.process.stdin is not None
        workload.process.stdin.close()
        workload.end()
        sample = await session.detach()
        assert sample.kind == "lossy"
        assert sample.lost
        assert [reason.code for reason in sample.reasons] == ["rows_full"]
        reference = EbpfTracer()
        workload = start("family", 4)
        session = await attach(reference, workload.pid)
        workload.go()
        assert workload.process.stdout is not None
        assert os.read(workload.process.stdout.fileno(), 1) == b"d"
        assert workload.process.stdin is not None
        workload.process.stdin.close()
        workload.end()
        truth = await session.detach()
        await reference.close()
        entered = sum(one.calls or 0 for one in sample.rows)
        assert entered + sample.lost == sum(one.calls or 0 for one in truth.rows)
    finally:
        await tracer.close()


async def test_attach_interrupts_nothing(tracer: EbpfTracer, start: Start) -> None:
    """epoll_wait returns EINTR when ptrace attaches; not here."""
    code = "import select; e=select.epoll(); e.register(0); print('r',end='',flush=True); e.poll()"
    program = start("-c", code, program=f"../../..{sys.executable}")
    for _ in range(20):
        session = await attach(tracer, program.pid)
        await session.detach()
    session = await attach(tracer, program.pid)
    program.go()
    assert program.end() == 0
    assert row(await session.detach(), "epoll_wait").errors == 0


OWNER = """
import asyncio, sys
from straced.linux import procfs
from straced.tracers.base import AttachOptions
from straced.tracers.ebpf import EbpfTracer
async def main():
    tracer = EbpfTracer()
    await tracer.attach(procfs.target(int(sys.argv[1])), AttachOptions())
    print("r", end="", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def gone(programs: set[int]) -> bool:
    return not loaded(programs)


async def test_a_killed_owner_leaves_nothing(start: Start) -> None:
    require("ebpf")
    target = start("blocked")
    for _ in range(8):  # fifty in tests/soak
        owner = start("-c", OWNER, target.pid, program=f"../../..{sys.executable}")
        programs = programs_of(owner.pid)
        assert len(programs) >= len(PROGRAMS)
        owner.process.send_signal(signal.SIGKILL)
        owner.end()
        until(functools.partial(gone, programs), 20)
    assert procfs.stat(target.pid).state == "S"


def test_first_attach_and_further_ones(start: Start) -> None:
    """A ceiling far above what is measured in benchmarks/, so that only a real slip fails: that shows each time."""
    require("ebpf")
    took = []
    while not took or (min(took) >= 1 and len(took) < 3):
        begin = time.perf_counter()
        engine = Engine()
        took.append(time.perf_counter() - begin)
        engine.close()
    assert min(took) < 1


async def test_overhead_is_measured_here(tracer: EbpfTracer, start: Start) -> None:
    workload = start("n", 100_000)
    session = await attach(tracer, workload.pid)
    begin = time.perf_counter_ns()
    workload.run()
    sample = await session.detach()
    found = session.overhead(sample, time.perf_counter_ns() - begin)
    assert found.basis == "calibrated"
    assert found.ns_per_call
    assert found.pct


async def test_a_process_whose_leader_has_exited(tracer: EbpfTracer, start: Start) -> None:
    workload = start("leaderless", 500, held=False)
    until(lambda: procfs.stat(workload.pid).state == "Z")
    session = await attach(tracer, workload.pid)
    assert workload.run() == 0
    ending = await asyncio.wait_for(session.wait(), 5)
    assert (ending.reason, ending.exit_status) == ("exited", 0)
    assert calls(await session.detach(), "getppid") == [500]


async def test_too_much_overhead_ends_the_session(tracer: EbpfTracer, start: Start) -> None:
    workload = start("n", 1_000_000_000)
    options = AttachOptions(max_overhead_pct=0.001)
    session = await tracer.attach(procfs.target(workload.pid), options)
    workload.go()
    ending = await asyncio.wait_for(session.wait(), 10)
    assert ending.reason == "overhead"
    assert (row(await session.read(), "getppid").calls or 0) > 0
    assert workload.process.poll() is None
