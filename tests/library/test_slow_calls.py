"""Slow calls by the three faces of the API.

Of `client/events.py`, `blocking/streams.py` and `profiling/session.py`.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import straced
from straced import blocking, client
from straced.profiling import api
from straced.syscalls import native_abi, number_of
from tests.service.daemon import Daemon, serving
from tests.support.poll import auntil, until

LIMIT_S = 0.02
READS: tuple[str, ...] = ("sh", "-c", "read x; exit 3")
needs = pytest.mark.needs("root", "ebpf")


def is_reading(pid: int) -> bool:
    """Of its stdin: what it reads at its start is no matter."""
    return Path(f"/proc/{pid}/syscall").read_text().startswith(f"{number_of('read', native_abi())} 0x0 ")


def check(summary: straced.Summary, told: list[straced.SlowSyscall], pid: int) -> None:
    """What the program was told of the one call that it made slow, while it went on and at the end."""
    reads = [call for call in told if call.name == "read" and call.pid == pid and not call.inside]
    assert summary.slow is not None
    assert summary.slow.limit_ns == LIMIT_S * 1e9
    assert reads[-1] in summary.slow.calls
    assert reads[-1].duration_ns >= summary.slow.limit_ns
    assert (reads[-1].path or "").startswith("pipe:[")
    assert summary.exit_status == 3
    assert summary.io_uring is not None
    assert summary.files is not None
    (pipe,) = [row for row in summary.files.rows if row.name == reads[-1].path]
    assert pipe.bytes == 2
    assert (pipe.max_ns or 0) >= reads[-1].duration_ns


async def program(profiler: api.AsyncProfiler) -> None:
    session = await profiler.spawn(READS, slower_than=LIMIT_S, files=True, io_uring=True, stdin=subprocess.PIPE)
    process = session.process
    assert process is not None
    assert process.stdin is not None
    async with session.slow_calls() as calls:
        await auntil(lambda: is_reading(process.pid), 30)
        await asyncio.sleep(1.5 * LIMIT_S)  # which is what makes it slow
        process.stdin.write(b"x\n")
        told = [call async for call in calls]
    await process.wait()
    check(await session.result(), told, process.pid)


@pytest.fixture
def daemon(world: None, tmp_path: Path) -> Iterator[Daemon]:
    folder = tmp_path / "service"
    folder.mkdir()
    with serving(folder) as made:
        yield made


@needs
async def test_by_the_profiler() -> None:
    async with straced.Profiler() as profiler:
        await program(profiler)


@needs
async def test_by_the_client(daemon: Daemon, start: Any) -> None:
    async with daemon.client() as connection:
        await program(connection)
        session = await connection.attach(start("tick").pid)
        with pytest.raises(straced.NotLive):
            await anext(session.slow_calls())


@needs
def test_without_a_loop() -> None:
    with blocking.Profiler() as profiler:
        session = profiler.spawn(
            READS, slower_than=LIMIT_S, files=True, io_uring=True, stdin=subprocess.PIPE, bufsize=0
        )
        process = session.process
        assert process is not None
        assert process.stdin is not None
        with session.slow_calls() as calls:
            until(lambda: is_reading(process.pid), 30)
            time.sleep(1.5 * LIMIT_S)
            process.stdin.write(b"x\n")
            told = list(calls)
        process.stdin.close()
        process.wait()
        check(session.result(), told, process.pid)


@needs
async def test_a_session_without_a_limit_has_none(start: Any) -> None:
    async with straced.Profiler("ebpf") as profiler:
        session = await profiler.attach(start("tick").pid)
        with pytest.raises(straced.NotLive, match="no limit"):
            session.slow_calls()
        assert (await session.detach()).slow is None


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), float("inf"), True, "10ms"])
async def test_what_is_no_limit_is_refused(limit: Any, tmp_path: Path) -> None:
    for profiler in (straced.Profiler(), client.Client(tmp_path / "nobody")):
        with pytest.raises(straced.errors.InvalidArgument):
            await profiler.attach(1, slower_than=limit)


async def test_other_tracers_tell_none() -> None:
    with pytest.raises(straced.errors.InvalidArgument, match="strace"):
        await straced.Profiler("strace").attach(1, slower_than=1.0)
