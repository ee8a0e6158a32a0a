"""How a session ends, and what is known of the target then."""

# ruff: noqa: ASYNC230
from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from straced import Profiler
from tests.support.cli import straced
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_the_exit_status_is_the_targets(profiler: Profiler, start: Starter) -> None:
    workload = start("leave", 7)
    session = await profiler.attach(workload.pid)
    workload.go()
    ending = await asyncio.wait_for(session.wait(), 10)
    assert (ending.reason, ending.exit_status) == ("exited", 7)
    summary = await session.result()
    assert (summary.end, summary.exit_status) == ("exited", 7)
    assert await session.result() == summary, "kept, and the same each time"
    assert workload.process.wait(5) == 7, "its own parent still gets the status"


async def test_a_target_that_is_killed(profiler: Profiler, start: Starter) -> None:
    workload = start("spin", 50, go=False)
    session = await profiler.attach(workload.pid)
    workload.go()
    await asyncio.to_thread(workload.channel.expect, "lap")
    workload.signal(signal.SIGKILL)
    ending = await asyncio.wait_for(session.wait(), 10)
    assert (ending.reason, ending.exit_status) == ("killed(9)", -9)
    summary = await session.result()
    assert summary.syscalls["getppid"].calls == 50, "what was counted is kept"
    assert (summary.end, summary.exit_status) == ("killed(9)", -9)


@pytest.mark.parametrize(("argv", "status"), [(("leave", 7), 7), (("leave", 0), 0)])
def test_run_has_the_status_of_the_command(start: Starter, argv: tuple[object, ...], status: int) -> None:
    assert straced("run", "--tracer", "strace", "--", start.gt, *argv).status == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_run_of_a_command_that_is_killed(number: signal.Signals) -> None:
    assert straced("run", "--tracer", "strace", "--", "sh", "-c", f"kill -{int(number)} $$").status == 128 + number


async def test_counts_add_up_over_an_exec(profiler: Profiler, start: Starter) -> None:
    workload = start("exec", start.gt, "n", 40)
    session = await profiler.attach(workload.pid)
    workload.go()
    await asyncio.to_thread(workload.channel.expect, "ready")
    await workload.work()
    summary = await session.detach()
    assert summary.syscalls["execve"].calls == 1
    assert summary.syscalls["getppid"].calls == 40


async def test_an_exec_from_a_thread_that_is_not_the_leader(profiler: Profiler, start: Starter) -> None:
    workload = start("threxec", 150)
    session = await profiler.attach(workload.pid)
    await workload.work()
    summary = await session.detach()
    assert summary.syscalls["getppid"].calls == 300
    assert workload.untraced()


async def test_children_that_are_not_followed_are_mentioned(profiler: Profiler, start: Starter) -> None:
    workload = start("nforks", 2, 100)
    session = await profiler.attach(workload.pid, follow=False)
    await workload.work()
    summary = await session.detach()
    assert summary.follow is False
    assert summary.syscalls["getppid"].calls == 200, "strace -f follows what is born later"
    assert "child" in " ".join(reason.text for reason in summary.quality.reasons), "and that is said"


async def test_a_target_that_its_own_filter_kills(profiler: Profiler, start: Starter) -> None:
    workload = start("secckill")
    session = await profiler.attach(workload.pid)
    workload.go()
    ending = await asyncio.wait_for(session.wait(), 10)
    assert (ending.reason, ending.exit_status) == (f"killed({int(signal.SIGSYS)})", -signal.SIGSYS)


async def test_a_strace_that_crashes(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    session = await profiler.attach(workload.pid)
    (helper,) = session.helper_pids
    os.kill(helper, signal.SIGSEGV)
    ending = await asyncio.wait_for(session.wait(), 10)
    assert ending.reason == "tracer_crashed(11)"
    summary = await session.result()
    assert summary.quality.kind == "lossy"
    assert summary.quality.lost is None
    assert summary.total.calls is None, "unknown, not zero"
    assert workload.runs()


async def test_no_call_is_zero_only_after_a_proven_attach(profiler: Profiler, start: Starter) -> None:
    workload = start("pause")
    session = await profiler.attach(workload.pid)
    summary = await session.detach()
    assert summary.quality.tasks_traced == 1
    assert summary.total.calls == 0
    assert summary.quality.kind in ("exact", "partial")


async def test_a_full_trace_cut_by_kill_keeps_whole_lines(start: Starter, tmp_path: Path) -> None:
    from straced import StraceManager

    workload = start("spin")
    manager = StraceManager()
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    await auntil(lambda: os.stat(tmp_path / "trace").st_size > 100_000, what="the trace grows")
    (helper,) = manager.get_strace_pids()
    os.kill(helper, signal.SIGKILL)
    await auntil(lambda: manager.get_strace_pids() == [], 3, "noticed")
    with open(tmp_path / "trace", "rb") as file:
        *lines, _ = file.read().split(b"\n")
    assert len(lines) > 1000
    assert all(line.endswith(b")") or b" = " in line or b"strace:" in line for line in lines)
    assert workload.runs()
    await manager.detach_all()
