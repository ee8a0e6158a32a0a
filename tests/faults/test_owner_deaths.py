"""Cancels, killed owners, owners that run out of something."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

import straced
from straced import StraceManager
from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import auntil, until
from tests.support.workload import Starter
from tests.support.world import WORLD

GUARD = Path(straced.__file__).parent / "tracers/strace/guard"
ALONE = ("setpriv", "--reuid=61235", "--regid=61235", "--clear-groups")
"""The words that run a command as a user who has no process."""
pytestmark = pytest.mark.needs("strace", "cc")
T = TypeVar("T")


async def given_up_after(seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
    """Cancel work that takes longer; what it returns all the same is not lost, as with ``asyncio.wait_for``."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


async def test_cancelled_while_it_spawns(manager: StraceManager, start: Starter) -> None:
    target = start("tick")
    chance = random.Random(64)
    for _ in range(25):
        if await given_up_after(chance.uniform(0, 0.008), manager.attach(target.pid)):
            await manager.detach(target.pid)
        await auntil(target.untraced, 4, "untraced after the cancel")
        await auntil(lambda: manager.get_strace_pids() == [], 4, "no helper is left")
    assert target.runs()


async def test_a_cancelled_spawn_lets_the_program_run_or_ends_it(manager: StraceManager, start: Starter) -> None:
    chance = random.Random(65)
    before = set(proc.children(os.getpid()))
    for _ in range(10):
        process = await given_up_after(chance.uniform(0, 0.03), manager.spawn([str(start.gt), "leave", "0"], env={}))
        if process is not None:
            assert await asyncio.wait_for(process.wait(), 20) == 0
        await asyncio.wait_for(manager.detach_all(), 5)

    def left() -> set[int]:
        return {pid for pid in set(proc.children(os.getpid())) - before if proc.alive(pid)}

    await auntil(lambda: not left(), 12, f"no program hangs in its gate: {left()}")


async def test_a_helper_that_is_reaped_already_is_not_signalled(
    manager: StraceManager, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By pidfd only: nothing in this process signals a pid by number."""
    used: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: used.append(pid))
    monkeypatch.setattr(os, "killpg", lambda pid, number: used.append(pid))
    target = start("tick")
    assert await manager.attach(target.pid)
    (helper,) = manager.get_strace_pids()
    assert await manager.detach(target.pid) is not None
    assert not proc.alive(helper)
    assert await manager.detach(target.pid) is None
    await manager.detach_all()
    assert used == []


BUSY_OWNER = """
    async def main():
        manager = StraceManager()
        pids = [int(word) for word in os.environ["TARGETS"].split()]
        say("begins")
        while True:
            await asyncio.gather(*(manager.attach(pid) for pid in pids))
            await asyncio.sleep(0.01)
            await asyncio.gather(*(manager.detach(pid) for pid in pids))
    asyncio.run(main())
"""


@pytest.mark.limit(90)
def test_the_owner_is_killed_at_any_time(start: Starter) -> None:
    """Idle, attaching, tracing, stopping: within three seconds no tracer is left, and the targets run."""
    targets = [start("tick"), start("busy", 10)]
    chance = random.Random(70)
    environment = {"TARGETS": " ".join(str(target.pid) for target in targets)}
    for _ in range(10):
        owner = start_owner(start, BUSY_OWNER, env=environment)
        owner.channel.expect("begins")
        before = targets[0].ticks()
        wanted = before + chance.randrange(1, 150)
        until(lambda wanted=wanted: targets[0].ticks() >= wanted)  # type: ignore[misc]
        below = proc.descendants(owner.pid)
        owner.signal(signal.SIGKILL)
        owner.process.wait(5)
        until(lambda below=below: not any(proc.alive(pid) for pid in below), 3, "no helper is left")  # type: ignore[misc]
        for target in targets:
            until(target.untraced, 3, "untraced")
            assert target.runs()


def test_the_owner_is_killed_together_with_its_guard(start: Starter) -> None:
    target = start("tick")
    for _ in range(4):
        owner = start_owner(
            start,
            """
            async def main():
                manager = StraceManager()
                assert await manager.attach(int(os.environ["TARGET"]))
                say("helpers", *manager.get_strace_pids()); await ahear()
            asyncio.run(main())
            """,
            env={"TARGET": str(target.pid)},
        )
        helpers = [int(word) for word in owner.channel.expect("helpers").split()]
        guard = start.owns(proc.parent(helpers[0]))
        assert guard != owner.pid
        owner.signal(signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        until(lambda helpers=helpers: not any(proc.alive(pid) for pid in helpers), 3, "no tracer is left")  # type: ignore[misc]
        until(target.untraced, 3)
        assert target.runs()


@pytest.mark.limit(90)
def test_both_are_killed_while_a_strace_starts(start: Starter) -> None:
    """Nobody is left to sweep away the children by which strace tests ptrace in its first milliseconds."""
    target = start("tick")
    chance = random.Random(71)
    for _ in range(12):
        owner = start_owner(
            start,
            """
            async def main():
                manager, pid = StraceManager(), int(os.environ["TARGET"])
                await manager.attach(pid)
                say("attached")
                while True:
                    await manager.detach(pid)
                    await manager.attach(pid)
            asyncio.run(main())
            """,
            env={"TARGET": str(target.pid)},
        )
        owner.channel.expect("attached")
        (guard,) = (pid for pid in proc.children(owner.pid) if "guard" in " ".join(proc.cmdline(pid)))
        start.owns(guard)
        wanted = time.monotonic() + chance.uniform(0, 0.02)
        until(lambda wanted=wanted: time.monotonic() >= wanted)  # type: ignore[misc]
        owner.signal(signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        owner.process.wait(5)
        until(target.untraced, 3)
    until(lambda: not straces_on(target.pid), 3, f"a test of strace's is left: {straces_on(target.pid)}")
    assert target.runs()


def straces_on(pid: int) -> list[int]:
    """Living processes of this run that were told to trace it."""
    return [each for each in WORLD.processes() if proc.cmdline(each)[-2:] == ["-p", str(pid)]]


def test_the_guard_is_killed_while_it_measures(start: Starter) -> None:
    """The child that it measures on ends too, though its parent may be gone before PR_SET_PDEATHSIG is set."""
    code = """
    sys.path.insert(0, os.environ["GUARD"])
    import calibrate
    calibrate.PATIENCE_S = 600.0
    pid, fd = calibrate.start()
    say("forked", pid)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    for _ in range(10):
        guard = start_owner(start, code, env={"GUARD": str(GUARD)})
        child = int(guard.channel.expect("forked"))
        guard.process.wait(5)
        until(lambda child=child: not proc.alive(child), 20, "before it has waited for a tracer")  # type: ignore[misc]


def test_the_thread_that_started_it_all_ends(start: Starter) -> None:
    target = start("n", 35)
    owner = start_owner(
        start,
        """
        manager = StraceManager()
        pid = int(os.environ["TARGET"])
        thread = threading.Thread(target=lambda: asyncio.run(manager.attach(pid)))
        thread.start(); thread.join()
        say("attached", manager.attached_pids == [pid]); hear()
        say("count", asyncio.run(manager.detach(pid))["syscall_counts"]["getppid"])
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("attached") == "True"
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "35"
    owner.process.wait(10)


@pytest.mark.limit(90)
def test_few_descriptors_make_a_typed_error_and_no_harm(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        """
        import resource
        async def main(pid):
            answers = []
            for spare in range(0, 30):
                manager = StraceManager()
                highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest + spare, hard))
                try:
                    answers.append(await manager.attach(pid))
                    if answers[-1]:
                        await manager.detach(pid)
                    else:
                        assert manager.last_error(pid) is not None
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    await manager.detach_all()
            say("answers", answers.count(True) > 0, set(answers) <= {True, False})
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("answers", 60) == "True True"
    owner.process.wait(10)
    until(target.untraced, 3)
    assert target.runs()


def test_few_processes_make_a_typed_error_and_no_harm(start: Starter) -> None:
    """RLIMIT_NPROC counts the threads of a user and binds no root: so as one who has no others, with a child."""
    owner = start_owner(
        start,
        """
        import resource, subprocess
        async def main():
            target = subprocess.Popen([os.environ["GT"], "tick"], env={})
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            answers = []
            for most in range(1, 31):
                manager = StraceManager()
                resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))
                try:
                    answers.append(await manager.attach(target.pid))
                    if answers[-1]:
                        await manager.detach(target.pid)
                    else:
                        assert manager.last_error(target.pid) is not None
                finally:
                    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
                    await manager.detach_all()
                    assert manager.get_strace_pids() == []
                status = Path(f"/proc/{target.pid}/status").read_text()
                assert "TracerPid:\\t0" in status and "State:\\tt" not in status and "State:\\tT" not in status, status
            target.kill()
            target.wait()
            say("answers", answers[0], answers[-1], set(answers) <= {True, False})
        asyncio.run(main())
        """,
        prefix=ALONE if os.geteuid() == 0 else (),
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("answers", 60) == "False True True"
    owner.process.wait(10)
