"""The blocking Profiler: many threads, forks, and a close in the middle of it all.

Of `blocking/loop_thread.py`, `blocking/profiler.py`, `blocking/recording.py`, `blocking/session.py` and
`blocking/streams.py`.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from straced import blocking, errors
from tests.support.owner import start_owner
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
THREADS = 4


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns within microseconds, so that a race that can be lost is lost."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(work: list[object], call: object) -> list[object]:
    """Call with each piece of work, each on a thread of its own, all at the same moment; the answers in order."""
    barrier = threading.Barrier(len(work))
    answers: list[object] = [None] * len(work)

    def run(position: int) -> None:
        barrier.wait()
        try:
            answers[position] = call(work[position])  # type: ignore[operator]
        except BaseException as error:
            answers[position] = error

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return answers


def loops() -> int:
    return sum(thread.name == "straced-loop" for thread in threading.enumerate())


def test_the_first_use_from_many_threads_makes_one_loop(start: Starter, quick_switches: None) -> None:
    for _ in range(10):
        targets = [start("n", 100 + number) for number in range(THREADS)]
        with blocking.Profiler("strace") as profiler:

            def count(target: object, profiler: blocking.Profiler = profiler) -> int | None:
                session = profiler.attach(target.pid)  # type: ignore[attr-defined]
                target.finish()  # type: ignore[attr-defined]
                return session.detach().syscalls["getppid"].calls

            assert at_once(list(targets), count) == [100, 101, 102, 103]
            assert loops() == 1
        assert loops() == 0


def test_threads_share_one_session(start: Starter) -> None:
    target = start("n", 50)
    with blocking.Profiler("strace") as profiler:
        session = profiler.attach(target.pid)
        target.finish()
        answers = at_once([session] * THREADS, lambda each: each.detach().syscalls["getppid"].calls)
    assert answers == [50] * THREADS


def test_whoever_waits_when_it_is_closed_is_told(start: Starter) -> None:
    """A closed loop answers nobody: the waiting thread gets the result of the close, or a typed error."""
    target = start("tick")
    profiler = blocking.Profiler("strace")
    session = profiler.attach(target.pid)
    waiting = threading.Event()
    answers: list[object] = []

    async def endless() -> None:
        import asyncio

        waiting.set()
        await asyncio.get_running_loop().create_future()

    def wait() -> None:
        try:
            profiler.wait_for(endless())
        except errors.StracedError as error:
            answers.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waiting.wait(10)
    profiler.close()
    thread.join(10)
    assert [type(answer) for answer in answers] == [errors.StracedError]
    assert session.target.pid == target.pid
    assert target.runs()
    assert target.untraced()


def test_it_can_be_used_again_after_a_close(start: Starter) -> None:
    target = start("tick")
    with blocking.Profiler("strace") as profiler:
        for _ in range(3):
            profiler.attach(target.pid)
            profiler.close()
            assert loops() == 0
            assert target.untraced()


@pytest.mark.needs("ebpf")
def test_windows(start: Starter) -> None:
    target = start("n", 300)
    with blocking.Profiler("ebpf") as profiler:
        session = profiler.attach(target.pid)
        windows = session.every(0.05)
        seen = [next(windows)]
        target.finish()
        target.let_end()
        seen += windows
        assert sum(window.total.calls or 0 for window in seen) == session.result().total.calls
        assert seen[-1].end == "exited"


def test_windows_that_cannot_be_are_refused_at_once(start: Starter) -> None:
    target = start("tick")
    with blocking.Profiler("strace") as profiler:
        session = profiler.attach(target.pid)
        with pytest.raises(errors.InvalidArgument):
            session.every(0)
        with pytest.raises(errors.NotLive):
            session.every(1)


FORKED = """
    from straced import blocking
    target = int(os.environ["TARGET"])
    with blocking.Profiler("strace") as profiler:
        session = profiler.attach(target)
        child = os.fork()
        if child == 0:
            calls = {"attach": lambda: profiler.attach(target), "detach": session.detach, "read": session.read,
                     "wait": session.wait, "spawn": lambda: profiler.spawn(["true"])}
            for name, call in calls.items():
                try:
                    call()
                    say("copy", name, "answers")
                except errors.StracedError as error:
                    say("copy", name, error.code)
        else:
            assert os.waitpid(child, 0)[1] == 0
            say("forked"); hear()
            say("count", session.detach().syscalls["getppid"].calls)
    say("left", "child" if child == 0 else "parent")
    """


def test_a_forked_copy_is_inert_and_its_block_is_left(start: Starter) -> None:
    target = start("n", 150)
    owner = start_owner(start, FORKED, env={"TARGET": str(target.pid)})
    heard = [owner.channel.expect("copy") for _ in range(5)]
    assert heard == [f"{name} forked_copy" for name in ("attach", "detach", "read", "wait", "spawn")]
    assert owner.channel.expect("left") == "child"
    owner.channel.expect("forked")
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "150"
    assert owner.channel.expect("left") == "parent"
    assert owner.process.wait(10) == 0


def test_one_made_before_the_process_daemonizes_serves_afterwards(start: Starter) -> None:
    target = start("n", 70)
    owner = start_owner(
        start,
        """
        from straced import blocking
        profiler = blocking.Profiler("strace")
        if os.fork():
            os._exit(0)
        os.setsid()
        session = profiler.attach(int(os.environ["TARGET"]))
        say("attached", os.getpid()); hear()
        say("count", session.detach().syscalls["getppid"].calls)
        profiler.close()
        """,
        env={"TARGET": str(target.pid)},
    )
    start.owns(int(owner.channel.expect("attached")))
    target.finish()
    owner.go()
    assert owner.channel.expect("count") == "70"


def test_a_fork_while_another_thread_holds_the_lock(start: Starter) -> None:
    """The copy of a lock that was held at the fork is never released: the child must not need it."""
    owner = start_owner(
        start,
        """
        from straced import blocking
        profiler = blocking.Profiler("strace")
        held, go = threading.Event(), threading.Event()
        def hold():
            with profiler._loop._lock():
                held.set(); go.wait()
        thread = threading.Thread(target=hold); thread.start(); held.wait()
        child = os.fork()
        if child == 0:
            profiler.close()
            say("closed"); os._exit(0)
        os.waitpid(child, 0); go.set(); thread.join()
        """,
    )
    owner.channel.expect("closed")
    assert owner.process.wait(10) == 0


def test_without_room_for_a_loop_the_error_is_typed() -> None:
    code = """
import resource, sys
from straced import blocking, errors
profiler = blocking.Profiler("strace")
import straced.tracers.strace, straced.gating
resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    profiler.attach(1)
except errors.NoResources as error:
    print(error.code, error.hint != "")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "resources True\n", done.stderr
