"""Whose an object is: the process and the loop that used it first. Others get a typed error, and change nothing.

Of `concurrency/ownership.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from straced import Profiler, StraceManager, why, why_all
from straced.client.client import Client
from straced.errors import NoEventLoop
from tests.support.needs import require
from tests.support.owner import start_owner
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]
IN_A_CHILD = """
        def in_a_child(work):
            child = os.fork()
            if child == 0:
                try:
                    asyncio._set_running_loop(None)
                    asyncio.new_event_loop().run_until_complete(asyncio.wait_for(work(), 20))
                except BaseException as error:
                    say("child failed", repr(error))
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        async def outcome(work):
            try:
                return await work
            except Exception as error:
                return type(error).__name__
"""


def test_a_forked_session_is_inert(tracer: str, start: Starter) -> None:
    target = start("n", 500)
    owner = start_owner(
        start,
        IN_A_CHILD
        + """
        async def main():
            profiler = Profiler(os.environ["TRACER"])
            session = await profiler.attach(int(os.environ["TARGET"]))
            async def child():
                found = [await outcome(work) for work in
                         (session.detach(), session.read(), session.summary(), session.wait(), session.result())]
                for make in (session.events, lambda: session.every(1)):
                    try: make()
                    except Exception as error: found.append(type(error).__name__)
                session.request_stop()
                say("session", *found, session.alive, session.helper_pids)
                async with profiler:
                    found = [await outcome(profiler.attach(1)), await outcome(profiler.read_all())]
                    say("profiler", profiler.sessions, *found)
            await asyncio.to_thread(in_a_child, child)
            say("forked"); await ahear()
            result = await session.detach()
            say("parent", result.syscalls["getppid"].calls, result.quality.lost)
            await profiler.close()
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid), "TRACER": tracer},
    )
    assert owner.channel.expect("session", 30) == " ".join(["ForkedCopy"] * 7) + " False []"
    assert owner.channel.expect("profiler") == "[] ForkedCopy ForkedCopy"
    owner.channel.expect("forked")
    target.finish()
    owner.go()
    assert owner.channel.expect("parent") == "500 0"
    assert owner.process.wait(10) == 0


def test_a_forked_manager_says_that_it_is_a_copy(start: Starter) -> None:
    target = start("n", 60)
    owner = start_owner(
        start,
        IN_A_CHILD
        + """
        async def main():
            manager, pid = StraceManager(), int(os.environ["TARGET"])
            assert await manager.attach(pid)
            async def child():
                found = [await manager.attach(pid), await manager.detach(pid), await manager.detach_all(),
                         await manager.attach_full_trace(pid, Path("/nonexistent/x")), manager.attached_pids]
                say("child", *found, type(manager.last_error(pid)).__name__)
            await asyncio.to_thread(in_a_child, child)
            say("forked"); await ahear()
            say("parent", (await manager.detach(pid))["syscall_counts"]["getppid"])
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("child", 30) == "False None {} False [] ForkedCopy"
    owner.channel.expect("forked")
    target.finish()
    owner.go()
    assert owner.channel.expect("parent") == "60"
    assert owner.process.wait(10) == 0


def test_a_forked_manager_runs_programs_at_once(start: Starter) -> None:
    """Nobody would open a gate for it; and a lock of another thread's is no reason to stand still either."""
    target = start("tick")
    owner = start_owner(
        start,
        IN_A_CHILD
        + """
        from straced.gating import asks
        held, done = threading.Event(), threading.Event()
        def hold():
            with asks._lock:
                held.set(); done.wait()
        async def main():
            manager = StraceManager()
            assert await manager.attach(int(os.environ["TARGET"]))
            async def child():
                began = time.monotonic()
                process = await manager.spawn(["true"])
                say("ran", await process.wait(), type(manager.last_error(process.pid)).__name__,
                    time.monotonic() - began < 5)
            thread = threading.Thread(target=hold); thread.start(); held.wait()
            await asyncio.to_thread(in_a_child, child)
            done.set(); thread.join()
            await manager.detach_all()
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("ran", 30) == "0 ForkedCopy True"
    assert owner.process.wait(10) == 0


def test_what_was_made_before_a_daemon_forked_is_the_daemons(start: Starter) -> None:
    target = start("n", 70)
    owner = start_owner(
        start,
        """
        manager, profiler = StraceManager(), Profiler("strace")
        assert manager.attached_pids == [] and manager.get_strace_pids() == []
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
        async def main():
            pid = int(os.environ["TARGET"])
            say("attached", await manager.attach(pid), manager.attached_pids == [pid], len(manager.get_strace_pids()))
            await ahear()
            say("counts", (await manager.detach(pid))["syscall_counts"]["getppid"])
            await manager.detach_all()
            async with profiler:
                session = await profiler.attach(pid)
                say("session", session.alive, profiler.mine)
        asyncio.run(main())
        os._exit(0)
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("attached", 30) == "True True 1"
    target.finish()
    owner.go()
    assert owner.channel.expect("counts") == "70"
    assert owner.channel.expect("session") == "True True"
    assert owner.process.wait(10) == 0


def without_a_loop(work: Coroutine[Any, Any, object]) -> object:
    """What a coroutine does where asyncio is not, as under trio."""
    with pytest.raises((StopIteration, NoEventLoop)) as caught:
        work.send(None)
    return caught.value.value if isinstance(caught.value, StopIteration) else caught.type


def test_without_an_asyncio_loop(start: Starter, tmp_path: Any) -> None:
    pid = start("tick").pid
    profiler, manager, client = Profiler("strace"), StraceManager(), Client(tmp_path / "socket")
    for work in (
        lambda: profiler.attach(pid),
        lambda: profiler.watch_children(),
        lambda: profiler.spawn(["true"]),
        lambda: profiler.record(pid, None, None),  # type: ignore[arg-type]
        lambda: profiler.read_all(),
        lambda: manager.spawn(["true"]),
        lambda: client.connect(),
        lambda: client.attach(pid),
        lambda: client.spawn(["true"]),
        lambda: client.status(),
        lambda: why(pid),
        lambda: why_all(),
    ):
        assert without_a_loop(work()) is NoEventLoop, inspect.getsource(work)
    for answers in (
        manager.attach(pid),
        manager.attach_full_trace(pid, tmp_path / "x"),
        manager.detach_full_trace(pid),
    ):
        assert without_a_loop(answers) is False
    assert without_a_loop(manager.detach(pid)) is None
    assert isinstance(manager.last_error(pid), NoEventLoop)
    assert not (tmp_path / "x").exists()


def in_a_thread(work: Callable[[], Coroutine[Any, Any, object]]) -> object:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work()))
        except NoEventLoop as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


async def test_a_second_loop_beside_the_first_is_refused(tracer: str, start: Starter, manager: StraceManager) -> None:
    target = start("n", 90)
    async with Profiler(tracer) as profiler:
        session = await profiler.attach(target.pid)
        for work in (
            lambda: profiler.attach(target.pid),
            lambda: profiler.close(),
            lambda: session.detach(),
            lambda: session.read(),
        ):
            assert isinstance(await asyncio.to_thread(in_a_thread, work), NoEventLoop)
        await target.work()
        assert (await session.detach()).syscalls["getppid"].calls == 90
    assert await manager.attach(target.pid)
    assert await asyncio.to_thread(in_a_thread, lambda: manager.detach(target.pid)) is None
    assert isinstance(manager.last_error(target.pid), NoEventLoop)
    assert manager.attached_pids == [target.pid]
    assert await manager.detach(target.pid) is not None


def test_one_loop_after_the_other(tracer: str, start: Starter) -> None:
    target = start("n", 110)
    profiler = Profiler(tracer)
    session = asyncio.run(profiler.attach(target.pid))
    target.finish()

    async def end() -> Any:
        found = await session.detach()
        await profiler.close()
        return found

    assert asyncio.run(end()).syscalls["getppid"].calls == 110


def test_a_session_whose_target_ended_between_two_loops(tracer: str, start: Starter) -> None:
    require("strace")
    target = start("n", 120)
    profiler = Profiler(tracer)
    session = asyncio.run(profiler.attach(target.pid))
    target.finish()
    target.let_end()

    async def end() -> Any:
        found = await session.result()
        await profiler.close()
        return found

    assert asyncio.run(end()).syscalls["getppid"].calls == 120
