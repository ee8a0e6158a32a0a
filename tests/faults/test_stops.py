"""Stopped, frozen and uninterruptible targets; signals from a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced import Profiler, errors
from tests.support import proc
from tests.support.needs import freezer_root
from tests.support.owner import start_owner
from tests.support.poll import auntil, until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, None])
async def test_stopped_before_the_attach(profiler: Profiler, start: Starter, number: signal.Signals | None) -> None:
    workload = start("tick")
    workload.stop()
    session = await profiler.attach(workload.pid)
    if number is None:
        await session.detach()
    else:
        os.kill(session.helper_pids[0], number)
        await asyncio.wait_for(session.wait(), 5)
    await auntil(lambda: proc.state(workload.pid) == "T", 3, "it is stopped as before")
    assert workload.untraced()
    workload.cont()
    assert workload.runs()


async def test_stop_and_continue_pass_through(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    session = await profiler.attach(workload.pid)
    workload.stop()
    frozen = workload.ticks()
    workload.cont()
    await auntil(lambda: workload.ticks() > frozen + 3, what="it runs on, traced")
    assert proc.tracer(workload.pid) in session.helper_pids
    workload.stop()
    await session.detach()
    await auntil(lambda: proc.state(workload.pid) == "T", 3, "stopped stays stopped")
    workload.cont()
    assert workload.runs()


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
async def test_a_tracer_that_is_stopped_does_not_freeze_the_target(
    profiler: Profiler, start: Starter, number: signal.Signals
) -> None:
    workload = start("tick")
    session = await profiler.attach(workload.pid)
    os.kill(session.helper_pids[0], number)
    before = workload.ticks()
    await auntil(lambda: workload.ticks() > before + 200, 5, "the target runs on")
    await session.detach()
    assert workload.untraced()
    assert workload.runs()


@pytest.mark.parametrize("key", [b"\x03", b"\x1a", b"\x1c"], ids=["ctrl-c", "ctrl-z", "ctrl-backslash"])
def test_keys_of_the_owners_terminal(start: Starter, key: bytes) -> None:
    """The key reaches the owner, never the tracer: the target runs on, whatever the owner does."""
    target = start("tick")
    master, slave = os.openpty()
    try:
        owner = start_owner(
            start,
            """
            async def main():
                manager = StraceManager()
                assert await manager.attach(int(os.environ["TARGET"]))
                say("helpers", *manager.get_strace_pids())
                await asyncio.sleep(60)
            for number in (2, 3, 20):
                signal.signal(number, lambda *_: say("key"))
            asyncio.run(main())
            """,
            prefix=("setsid", "--ctty"),
            env={"TARGET": str(target.pid)},
            stdin=slave,
        )
        helpers = [int(word) for word in owner.channel.expect("helpers").split()]
        os.write(master, key)
        owner.channel.expect("key")
        assert all(proc.state(pid) in "SRt" and proc.alive(pid) for pid in helpers)
        assert target.runs()
        assert proc.tracer(target.pid) in helpers
        owner.kill()
        until(target.untraced, 3)
    finally:
        os.close(master)
        os.close(slave)
    assert target.runs()


class Freezer:
    """A cgroup that can be frozen (v1 or v2)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        one = path / "freezer.state"
        self._file, self._words = (one, ("FROZEN", "THAWED")) if one.exists() else (path / "cgroup.freeze", ("1", "0"))

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def freeze(self) -> None:
        self._file.write_text(self._words[0])

    def thaw(self) -> None:
        self._file.write_text(self._words[1])


@pytest.fixture
def freezer(start: Starter) -> Iterator[Freezer]:
    root = freezer_root()
    assert root is not None
    made = Freezer(root / f"straced-freeze-{os.getpid()}")
    yield made
    made.thaw()
    for workload in start.started:
        with contextlib.suppress(ProcessLookupError):
            workload.signal(signal.SIGKILL)
    until(lambda: (made.path / "cgroup.procs").read_text() == "", what="the cgroup is empty")
    until(lambda: _removed(made.path))


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()


@pytest.mark.needs("root", "freezer")
async def test_a_frozen_target_is_refused(profiler: Profiler, start: Starter, freezer: Freezer) -> None:
    workload = start("tick")
    freezer.add(workload.pid)
    freezer.freeze()
    with pytest.raises(errors.FrozenTarget):
        await profiler.attach(workload.pid)
    assert proc.tracer(workload.pid) == 0
    freezer.thaw()
    assert workload.runs()


@pytest.mark.needs("root", "freezer")
async def test_frozen_while_traced_the_stop_is_bounded(profiler: Profiler, start: Starter, freezer: Freezer) -> None:
    workload = start("tick")
    freezer.add(workload.pid)
    session = await profiler.attach(workload.pid)
    freezer.freeze()
    started = time.monotonic()
    summary = await asyncio.wait_for(session.detach(), 10)
    assert time.monotonic() - started < 8
    assert summary.quality.kind in ("lossy", "partial")
    freezer.thaw()
    await auntil(workload.untraced, 3, "let go")
    assert workload.runs()


@pytest.mark.limit(30)
async def test_a_vfork_parent_in_state_d(profiler: Profiler, start: Starter) -> None:
    workload = start("vforkslow", 3)
    session = await profiler.attach(workload.pid)
    workload.go()
    await auntil(lambda: proc.state(workload.pid) == "D", what="it waits in vfork")
    started = time.monotonic()
    await asyncio.wait_for(session.detach(), 10)
    assert time.monotonic() - started < 8
    assert proc.tracer(workload.pid) == 0
    await auntil(lambda: workload.ticks() > 10, 10, "it goes on when its child has ended")


@pytest.mark.limit(60)
async def test_a_vfork_storm_is_stopped(profiler: Profiler, start: Starter) -> None:
    workload = start("storm")
    for _ in range(2):
        session = await profiler.attach(workload.pid)
        before = workload.ticks()
        await auntil(lambda before=before: workload.ticks() > before + 20, what="it runs, traced")  # type: ignore[misc]
        started = time.monotonic()
        await asyncio.wait_for(session.detach(), 10)
        assert time.monotonic() - started < 6
        await auntil(workload.untraced, 3, "let go")
        assert workload.runs()
