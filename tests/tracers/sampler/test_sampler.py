"""The sampler: shares of time, with their error, and nothing it cannot know."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from straced.errors import NoSuchProcess
from straced.linux import procfs
from straced.model.aggregation import merge_rows
from straced.model.types import Sample, Target
from straced.tracers.base import AttachOptions
from straced.tracers.sampler import tracer as sampler
from straced.tracers.sampler.thread_state import ON_CPU, look
from straced.tracers.sampler.tracer import SamplerSession, SamplerTracer
from tests.tracers.ebpf.conftest import Start


async def looked(session: SamplerSession, looks: int) -> Sample:
    """A sample after so many looks."""
    while session._looks < looks:
        await asyncio.sleep(0.01)
    return await session.read()


async def test_a_blocked_thread_is_in_its_call_all_the_time(start: Start) -> None:
    workload = start("blocked")
    tracer = SamplerTracer()
    session = await tracer.attach(procfs.target(workload.pid), AttachOptions())
    sample = await looked(session, 20)
    (row,) = sample.rows
    assert (row.name, row.nr, row.pid, row.tid) == ("read", 0, workload.pid, workload.pid)
    assert (row.calls, row.errors, row.errno, row.histogram, sample.lost) == (None, None, None, None, None)
    assert row.in_flight == 1
    assert row.waiting_ns == row.wall_ns
    assert sample.kind == "sampled"
    assert [reason.code for reason in sample.reasons] == ["sampled"]
    await tracer.close()
    assert await session.detach() == await session.read()
    assert (await session.wait()).reason == "detached"


async def test_shares_lie_within_the_stated_error(start: Start) -> None:
    """Half of the time asleep, half on the CPU: the truth is within four standard errors."""
    code = "import time\nprint('r',end='',flush=True)\ninput_=open(0,'rb',0).read(1)\nimport os\n"
    code += "while True:\n e=time.monotonic()+.013\n while time.monotonic()<e: pass\n time.sleep(.013)\n"
    import sys

    workload = start("-c", code, program=f"../../..{sys.executable}")
    workload.go()
    tracer = SamplerTracer()
    session = await tracer.attach(procfs.target(workload.pid), AttachOptions())
    sample = await looked(session, 150)
    rows = {row.name: row for row in merge_rows(sample.rows)}
    asleep, busy = rows["clock_nanosleep"], rows[ON_CPU]
    assert asleep.wall_ns is not None
    assert busy.wall_ns is not None
    assert asleep.wall_error_ns is not None
    whole = asleep.wall_ns + busy.wall_ns
    assert asleep.wall_error_ns < whole / 5
    assert busy.waiting_ns == 0
    # the CPU is shared with others, so the busy half may take longer than half
    assert asleep.wall_ns < whole / 2 + 4 * asleep.wall_error_ns
    assert asleep.wall_ns > whole / 8
    await tracer.close()


async def test_the_end_of_the_target(start: Start) -> None:
    workload = start("n", 1)
    tracer = SamplerTracer()
    target = procfs.target(workload.pid)
    session = await tracer.attach(target, AttachOptions())
    workload.run()
    ending = await asyncio.wait_for(session.wait(), 5)
    assert (ending.reason, ending.exit_status) == ("exited", None)
    await tracer.close()
    with pytest.raises(NoSuchProcess):
        await tracer.attach(target, AttachOptions())
    assert not tracer.probe(target).usable


@pytest.mark.parametrize(
    ("files", "name", "method"),
    [
        ({"syscall": "232 0x4 0x7f 0x1 0xffffffff 0x0 0x0 0x7ffd 0x7f01\n"}, "epoll_wait", "syscall"),
        ({"syscall": "running\n"}, ON_CPU, "syscall"),
        ({"syscall": "-1 0x7ffd 0x7f01\n"}, "(page fault)", "syscall"),
        ({"wchan": "ep_poll"}, "(ep_poll)", "wchan"),
        ({"wchan": "0"}, "(sleeping)", "state"),
        ({}, "(sleeping)", "state"),
    ],
)
def test_it_degrades(tmp_path: Path, files: dict[str, str], name: str, method: str) -> None:
    task = tmp_path / "7" / "task" / "7"
    task.mkdir(parents=True)
    (task / "stat").write_text("7 (x) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0")
    for file, text in files.items():
        (task / file).write_text(text)
    seen = look(7, 7, "x86_64", root=str(tmp_path))
    if "syscall" not in files:
        assert (seen.name, seen.method) == (name, method)
    assert seen.name == name


def test_it_needs_nothing() -> None:
    assert sampler.SamplerTracer().probe().usable
    gone = Target(pid=2**22 - 1, start_ticks=1, boot_id="")
    assert not SamplerTracer().probe(gone).usable
