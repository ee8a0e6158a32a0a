"""Owners that die, fork, cancel, or run another loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.owner import start_owner
from tests.support.poll import until
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")

ATTACHED = """
    async def main():
        manager = StraceManager()
        assert await manager.attach(int(os.environ["TARGET"]))
        say("helpers", *manager.get_strace_pids())
        await ahear()
        result = await manager.detach(int(os.environ["TARGET"]))
        say("counts", result["syscall_counts"].get("getppid"))
"""


def assert_let_go(target: Workload, helpers: list[int]) -> None:
    until(lambda: not any(proc.alive(pid) for pid in helpers), 3, "no tracer is left")
    until(target.untraced, 3, "the target is untraced")
    assert target.runs()


def test_the_helper_dies_with_its_owner(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(start, ATTACHED + "\n    asyncio.run(main())", env={"TARGET": str(target.pid)})
    helpers = [int(word) for word in owner.channel.expect("helpers").split()]
    assert proc.tracer(target.pid) in helpers
    owner.signal(signal.SIGKILL)
    assert_let_go(target, helpers)


def test_a_stopped_target_stays_stopped_when_the_owner_dies(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(start, ATTACHED + "\n    asyncio.run(main())", env={"TARGET": str(target.pid)})
    helpers = [int(word) for word in owner.channel.expect("helpers").split()]
    target.stop()
    owner.signal(signal.SIGKILL)
    until(lambda: not any(proc.alive(pid) for pid in helpers), 3, "no tracer is left")
    until(lambda: proc.state(target.pid) == "T", 3, "it is stopped as before")
    target.cont()
    assert target.runs()


def test_an_owner_that_just_ends_leaves_nothing(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        """
        async def main():
            manager = StraceManager()
            assert await manager.attach(int(os.environ["TARGET"]))
            say("helpers", *manager.get_strace_pids())
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    helpers = [int(word) for word in owner.channel.expect("helpers").split()]
    assert owner.process.wait(10) == 0
    assert_let_go(target, helpers)


def test_an_owner_with_a_live_multiprocessing_child(start: Starter) -> None:
    target = start("tick")
    owner = start_owner(
        start,
        ATTACHED
        + """
    async def both():
        import multiprocessing
        manager = StraceManager()
        assert await manager.attach(int(os.environ["TARGET"]))
        child = multiprocessing.get_context("fork").Process(target=signal.pause)
        child.start()
        say("child", child.pid)
        say("helpers", *manager.get_strace_pids())
        await ahear()
    asyncio.run(both())
    """,
        env={"TARGET": str(target.pid)},
    )
    child = start.owns(int(owner.channel.expect("child")))
    helpers = [int(word) for word in owner.channel.expect("helpers").split()]
    owner.signal(signal.SIGKILL)
    assert_let_go(target, helpers)
    assert proc.alive(child), "the child holds the pipes of its parent all the while"


def test_a_forked_copy_is_inert(start: Starter) -> None:
    target = start("n", 150)
    owner = start_owner(
        start,
        """
        async def main():
            manager = StraceManager()
            pid = int(os.environ["TARGET"])
            assert await manager.attach(pid)
            helpers = manager.get_strace_pids()
            child = os.fork()
            if child == 0:
                try:
                    seen = (manager.attached_pids, manager.get_strace_pids())
                    loop = asyncio.new_event_loop()
                    asyncio._set_running_loop(None)
                    found = loop.run_until_complete(manager.detach_all())
                    say("copy", seen == ([], []), found == {})
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            say("helpers", manager.get_strace_pids() == helpers, *helpers)
            await ahear()
            result = await manager.detach(pid)
            say("count", result["syscall_counts"]["getppid"])
        asyncio.run(main())
        """,
        env={"TARGET": str(target.pid)},
    )
    assert owner.channel.expect("copy") == "True True"
    same, *helpers = owner.channel.expect("helpers").split()
    assert same == "True"
    assert all(proc.alive(int(pid)) for pid in helpers)
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "150"
    owner.process.wait(10)


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_end_of_a_forked_child_ends_nothing(start: Starter, ending: str) -> None:
    target = start("n", 60)
    owner = start_owner(
        start,
        f"""
        manager = StraceManager()
        pid = int(os.environ["TARGET"])
        assert asyncio.run(manager.attach(pid))
        child = os.fork()
        if child == 0:
            {ending}
        os.waitpid(child, 0)
        say("forked"); hear()
        say("count", asyncio.run(manager.detach(pid))["syscall_counts"]["getppid"])
        """,
        env={"TARGET": str(target.pid)},
    )
    owner.channel.expect("forked")
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "60"
    owner.process.wait(10)


LOOPS = {
    "uvloop": "import uvloop; uvloop.run(main())",
    "a thread": "thread = threading.Thread(target=lambda: asyncio.run(main())); thread.start(); thread.join()",
    "one after the other": "asyncio.run(main(False)); asyncio.run(main())",
    "a thread that ends first": "t = threading.Thread(target=lambda: asyncio.run(main(False))); t.start(); t.join(); "
    "asyncio.run(main())",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_loops(start: Starter, loop: str) -> None:
    if loop == "uvloop":
        from tests.support.needs import require

        require("uvloop")
    target = start("spin", 100, go=False)
    owner = start_owner(
        start,
        """
        manager = StraceManager()
        async def main(last=True):
            pid = int(os.environ["TARGET"])
            assert await manager.attach(pid)
            say("attached"); await ahear()
            result = await manager.detach(pid)
            say("count", result["syscall_counts"]["getppid"])
        """
        + LOOPS[loop],
        env={"TARGET": str(target.pid)},
    )
    for _ in range(LOOPS[loop].count("main(")):
        owner.channel.expect("attached")
        target.go()
        target.channel.expect("lap")
        owner.go()
        assert owner.channel.expect("count") == "100"
        assert target.untraced()
    assert owner.process.wait(10) == 0


def test_two_loops_at_once(start: Starter) -> None:
    targets = [start("n", count) for count in (70, 80)]
    owner = start_owner(
        start,
        """
        barrier = threading.Barrier(3)
        found = {}
        async def main(pid):
            manager = StraceManager()
            assert await manager.attach(pid)
            await asyncio.to_thread(barrier.wait); await asyncio.to_thread(barrier.wait)
            found[pid] = (await manager.detach(pid))["syscall_counts"]["getppid"]
        pids = [int(word) for word in os.environ["TARGETS"].split()]
        threads = [threading.Thread(target=lambda pid=pid: asyncio.run(main(pid))) for pid in pids]
        [thread.start() for thread in threads]
        barrier.wait(); say("attached"); hear(); barrier.wait()
        [thread.join() for thread in threads]
        say("counts", *[found[pid] for pid in pids])
        """,
        env={"TARGETS": " ".join(str(target.pid) for target in targets)},
    )
    owner.channel.expect("attached")
    for target in targets:
        target.finish()
    owner.go()
    assert owner.channel.expect("counts") == "70 80"
    owner.process.wait(10)


async def test_cancelled_in_the_middle_of_an_attach(manager: StraceManager, start: Starter) -> None:
    target = start("tick")
    for step in range(30):
        task = asyncio.ensure_future(manager.attach(target.pid))
        with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(task, 0.0007 * step)
        if task.done() and not task.cancelled() and task.exception() is None and task.result():
            assert proc.tracer(target.pid) in manager.get_strace_pids()
            await manager.detach(target.pid)
        await asyncio.to_thread(until, target.untraced, 5.0, f"untraced after a cancel at {0.7 * step:.1f} ms")
        assert manager.attached_pids == []
        assert target.runs()


async def test_cancelled_in_the_middle_of_a_detach(manager: StraceManager, start: Starter) -> None:
    target = start("tick")
    for step in range(1, 12):
        assert await manager.attach(target.pid)
        task = asyncio.ensure_future(manager.detach(target.pid))
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, target.untraced, 5.0, f"untraced after a cancel at step {step}")
    assert target.runs()
