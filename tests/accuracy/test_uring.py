"""Requests of io_uring are counted exactly, in rows of their own, and are no system calls.

Of `tracers/ebpf/uring.py` and `tracers/ebpf/uring_wire.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced import Profiler, UringTable, UringUse
from straced.tracers.ebpf import uring
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("ebpf", "cc", "io_uring")
N = 300


def rows(table: UringTable | None) -> dict[str, UringUse]:
    assert table is not None
    assert table.rows is not None
    for row in table.rows:
        if row.in_flight is not None:
            assert row.requests == row.completed + row.silent + row.unseen + row.in_flight
        assert (row.max_ns or 0) <= row.wall_ns
    return {row.name.removeprefix("io_uring:"): row for row in table.rows}


def numbers(row: UringUse) -> tuple[int, int, int, str | None, int | None]:
    return row.requests, row.completed, row.errors, row.errno, row.in_flight


@pytest.mark.parametrize("polled", [False, True], ids=["entered", "by the kernel's thread"])
async def test_each_request_is_counted(start: Starter, polled: bool) -> None:
    workload, other = start("ring", N, int(polled)), start("ring", N)
    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(workload.pid, io_uring=True)
        other.finish()
        workload.finish()
        summary = await session.detach()
    found = rows(summary.io_uring)
    assert summary.io_uring is not None
    assert summary.io_uring.problems == ()
    assert {name: numbers(row) for name, row in found.items()} == {
        "openat": (2 * N, 2 * N, N, "ENOENT", 0),
        "read": (N, N, 0, None, 0),
        "close": (N, N, 0, None, 0),
        "nop": (N, N, 0, None, 0),
        "poll_add": (1, 0, 0, None, 1),
    }
    assert found["poll_add"].max_ns is None
    assert "openat" not in summary.syscalls
    assert summary.total.calls == sum(row.calls or 0 for row in summary.rows)
    assert summary.quality.kind == "exact"


async def test_uncommon_ends(start: Starter) -> None:
    """Linked, cancelled, multishot, silent and refused requests; and a queue of completions that is full."""
    workload = start("rings")
    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(workload.pid, io_uring=True)
        workload.go()
        workload.channel.expect("small")
        table = (await session.read()).io_uring
        found = rows(table)
        assert table is not None
        assert table.problems == ()
        assert {name: numbers(row) for name, row in found.items()} == {
            "read": (2, 2, 2, "EBADF", 0),
            "nop": (5, 2, 2, "ECANCELED", 0),
            "poll_add": (1, 1, 1, "ECANCELED", 0),
            "async_cancel": (1, 1, 0, None, 0),
            "madvise": (1, 0, 0, None, 0),
            "timeout": (1, 1, 1, "ETIME", 0),
            "200": (1, 1, 1, "EINVAL", 0),
        }
        assert {name: row.more for name, row in found.items() if row.more} == {"poll_add": 5}
        assert {name: row.silent for name, row in found.items() if row.silent} == {"nop": 3, "madvise": 1}
        workload.finish()
        last = (await session.detach()).io_uring
    assert last is not None
    assert rows(last)["nop"].requests == 5 + 5
    assert rows(last)["nop"].in_flight is None
    assert "3 completions found their queue full" in last.problems[0]


async def test_a_program_from_its_first_instruction(binaries: tuple[Path, Path | None]) -> None:
    """The kernel's thread of its ring is made after the attach, and is in no fork."""
    async with Profiler("ebpf") as profiler:
        session = await profiler.spawn([binaries[0], "ring", "50", "1"], io_uring=True)
        assert session.process is not None
        assert await session.process.wait() == 0
        found = rows((await session.result()).io_uring)
    assert (found["nop"].requests, found["openat"].errors) == (50, 50)


async def test_nothing_of_it_unless_asked(start: Starter) -> None:
    workload = start("ring", N)
    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(workload.pid)
        workload.finish()
        assert (await session.detach()).io_uring is None


async def test_a_kernel_without_it_is_named(start: Starter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The calls are counted all the same."""
    monkeypatch.setattr(uring, "KERNEL_TYPES", tmp_path / "types")
    monkeypatch.setattr(uring, "DISABLED", tmp_path / "disabled")
    (tmp_path / "disabled").write_text("2\n")
    (tmp_path / "types").write_bytes(b"\0btf_trace_sys_enter\0")
    workload = start("ring", N)
    async with Profiler("ebpf") as profiler:
        session = await profiler.attach(workload.pid, io_uring=True)
        workload.finish()
        summary = await session.detach()
    assert summary.io_uring is not None
    assert summary.io_uring.rows is None
    assert "no io_uring" in summary.io_uring.problems[0]
    assert summary.io_uring.note == "kernel.io_uring_disabled is 2: nobody may make new rings"
    assert summary.syscalls["io_uring_enter"].calls == 5 * N + 1
