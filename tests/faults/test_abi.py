"""Other ABIs, unknown numbers, setuid programs, and what is never done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from straced import Profiler, StraceManager
from tests.support import proc
from tests.support.cli import straced
from tests.support.needs import unavailable
from tests.support.owner import NOBODY
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_seccomp_bpf_is_never_used(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    """A filter that outlives its tracer answers ENOSYS for ever."""
    counted, traced = start("tick"), start("tick")
    assert await manager.attach(counted.pid)
    assert await manager.attach_full_trace(traced.pid, tmp_path / "trace", filter="getppid")
    process = await manager.spawn(["sleep", "60"])
    for helper in manager.get_strace_pids():
        assert not [word for word in proc.cmdline(helper) if "seccomp" in word]
    assert len(manager.get_strace_pids()) == 3
    process.kill()
    await process.wait()


@pytest.mark.needs("root", "setpriv")
def test_a_setuid_program_is_warned_of(start: Starter) -> None:
    """Traced by nobody it loses the privilege it was given, so its result is not what it would have been."""
    program = start.folder / "id-setuid"
    shutil.copy(shutil.which("id") or "/usr/bin/id", program)
    program.chmod(0o4755)
    try:
        result = straced("run", "--tracer", "strace", "--", program, "-u", prefix=NOBODY)
        bare = straced("run", "--tracer", "strace", "--", "id", "-u", prefix=NOBODY)
    finally:
        program.unlink()
    assert result.status == 0
    assert "setuid" in result.err
    assert "setuid" not in bare.err


async def test_a_32_bit_program(profiler: Profiler, start: Starter) -> None:
    if start.gt32 is None:
        unavailable("i386", "the compiler has no 32-bit C library")
    workload = start("n", 500, binary=start.gt32)
    session = await profiler.attach(workload.pid)
    await workload.work()
    summary = await session.detach()
    (row,) = [row for row in summary.rows if row.name == "getppid"]
    assert (row.calls, row.abi, row.nr) == (500, "i386", 64)


async def test_int80_in_a_64_bit_program(profiler: Profiler, start: Starter) -> None:
    workload = start("int80", 500)
    session = await profiler.attach(workload.pid)
    await workload.work()
    summary = await session.detach()
    (row,) = [row for row in summary.rows if row.name == "getppid"]
    assert (row.calls, row.abi) == (500, "i386")


async def test_unknown_numbers(manager: StraceManager, start: Starter, tmp_path: Path) -> None:
    workload = start("unk", 90)
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    await workload.work()
    assert await manager.detach_full_trace(workload.pid)
    with open(tmp_path / "trace") as file:  # noqa: ASYNC230
        text = file.read()
    assert [text.count(f"syscall_0x{1000 + i:x}(") for i in range(3)] == [30, 30, 30]


async def test_a_summary_says_that_it_leaves_them_out(profiler: Profiler, start: Starter) -> None:
    workload = start("unk", 90)
    session = await profiler.attach(workload.pid)
    await workload.work()
    summary = await session.detach()
    assert not [row for row in summary.rows if "3e8" in row.name and row.calls is not None and row.calls != 30]
    assert "number" in " ".join(reason.text for reason in summary.quality.reasons)
