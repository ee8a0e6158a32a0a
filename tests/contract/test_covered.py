"""A collector that attaches to every descendant of its daemon, again and again, gets True and no warning.

Of `manager/strace_manager.py`, `manager/coverage.py`, `manager/admission.py` and `manager/pending_starts.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from straced import Profiler, StraceManager
from straced.manager import pending_starts
from tests.support import proc
from tests.support.events import Events
from tests.support.owner import start_owner
from tests.support.poll import auntil
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")


def family(start: Starter) -> tuple[Workload, int]:
    """A shell, and its child at work."""
    shell = start.program(["sh", "-c", '"$0" tick & wait', str(start.gt)], ready=False)
    child = start.owns(int(shell.channel.expect("ready")))
    shell.go()
    return shell, child


async def test_a_child_that_is_followed_is_covered(manager: StraceManager, start: Starter, events: Events) -> None:
    shell, child = family(start)
    assert await manager.attach(shell.pid)
    assert proc.tracer(child) in manager.get_strace_pids()
    helpers = manager.get_strace_pids()
    for _ in range(3):
        assert await manager.attach(child) is True
        assert manager.last_error(child) is None
    assert {event["covered_by"] for event in events.all("strace_covered")} == {shell.pid}
    assert {event["level"] for event in events.all("strace_covered")} == {"debug"}
    assert manager.attached_pids == [shell.pid]
    assert manager.get_strace_pids() == helpers, "no second tracer"
    assert await manager.detach(child) is None
    assert manager.last_error(child) is None
    assert proc.tracer(child) in helpers, "it is followed all the same"
    assert await manager.detach(shell.pid) is not None
    assert await manager.attach(child) is True
    assert manager.attached_pids == [child], "nobody follows it any more, so it has a trace of its own"


async def test_parent_and_child_at_once(manager: StraceManager, start: Starter, events: Events) -> None:
    """Whoever comes first has the child; both calls answer True in either case."""
    shell, child = family(start)
    for order in ((shell.pid, child), (child, shell.pid)) * 3:
        assert await asyncio.gather(*map(manager.attach, order)) == [True, True]
        assert proc.tracer(child) in manager.get_strace_pids()
        await manager.detach_all()
    assert [record.getMessage() for record in events.records if record.levelname == "WARNING"] == []


async def test_another_tracers_child_is_refused_as_ever(manager: StraceManager, start: Starter) -> None:
    other = StraceManager()
    workload = start("tick")
    try:
        assert await other.attach(workload.pid)
        assert await manager.attach(workload.pid) is False
        error = manager.last_error(workload.pid)
        assert error is not None
        assert error.code == "already_traced"
    finally:
        await other.detach_all()


async def test_strangers_do_not_wait_for_each_other(
    manager: StraceManager, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is refused at once, for none of them can be in the trace of another: five took 24 seconds."""
    monkeypatch.setattr(pending_starts, "OTHERS_S", 600.0)
    other = StraceManager()
    workloads = [start("tick") for _ in range(3)]
    try:
        for workload in workloads:
            assert await other.attach(workload.pid)
        assert await asyncio.gather(*(manager.attach(each.pid) for each in workloads)) == [False] * 3
        assert {error.code for each in workloads if (error := manager.last_error(each.pid))} == {"already_traced"}
    finally:
        await other.detach_all()


COLLECTOR = """
    import logging, subprocess
    heard = []
    class Handler(logging.Handler):
        def emit(self, record):
            heard.append((record.levelno, record.getMessage()))
    logging.getLogger("straced").addHandler(Handler())
    def below(pid):
        found, queue = [], [pid]
        while queue:
            try:
                lists = [Path(f"/proc/{each}/task").glob("*/children") for each in [queue.pop()]]
                new = [int(word) for files in lists for file in files for word in file.read_text().split()]
            except OSError:
                continue
            found += new; queue += new
        return found
    async def main():
        group = ProcessGroupManager(); group.setup()
        manager = StraceManager(process_group=group, live=os.environ["LIVE"] == "1")
        jobs = [await asyncio.create_subprocess_exec("sh", "-c", '"$0" tick & "$0" tick', os.environ["GT"],
                                                     env={"PATH": os.environ["PATH"]}, start_new_session=True)
                for _ in range(3)]
        answers = []
        for tick in range(4):
            answers += [await manager.attach(pid) for pid in below(os.getpid())]
            await asyncio.sleep(0)
        say("answers", len(answers), all(answers), [line for level, line in heard if level >= logging.WARNING])
        say("attached", set(manager.attached_pids) == {job.pid for job in jobs})
        for job in jobs:
            os.killpg(job.pid, signal.SIGKILL)
            await job.wait()
        await manager.detach_all()
    asyncio.run(main())
    """


@pytest.mark.parametrize("live", [False, True])
def test_a_collector_logs_no_warning_in_four_ticks(start: Starter, live: bool) -> None:
    owner = start_owner(start, COLLECTOR, env={"GT": str(start.gt), "LIVE": str(int(live))})
    count, *rest = owner.channel.expect("answers", 30).split(maxsplit=2)
    assert int(count) >= 4 * 9, "three jobs of three processes, and the guard"
    assert rest == ["True", "[]"]
    assert owner.channel.expect("attached") == "True"
    assert owner.process.wait(20) == 0


async def test_helper_pids_has_guard_and_spare_too(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert manager.helper_pids == []
    assert await manager.attach(workload.pid)
    straces = manager.get_strace_pids()
    guard = proc.parent(straces[0])
    await auntil(lambda: len(manager.helper_pids) == len(straces) + 2, what="a spare waits")
    assert manager.helper_pids[:1] == straces == [proc.tracer(workload.pid)]
    assert guard in manager.helper_pids
    (spare,) = set(manager.helper_pids) - {guard, *straces}
    assert proc.parent(spare) == guard
    assert await manager.detach_all()
    assert manager.helper_pids == []


async def test_helper_pids_of_a_profiler(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    assert profiler.helper_pids == []
    session = await profiler.attach(workload.pid)
    assert profiler.helper_pids[0] == session.helper_pids[0]
    assert proc.parent(session.helper_pids[0]) in profiler.helper_pids


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_strace_that_others_kill_is_a_crash(
    manager: StraceManager, start: Starter, events: Events, number: signal.Signals
) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    os.kill(manager.get_strace_pids()[0], number)
    await auntil(lambda: manager.attached_pids == [], what="the session ends")
    assert await manager.detach(workload.pid) is None
    error = manager.last_error(workload.pid)
    assert error is not None
    assert (error.code, getattr(error, "signal", 0)) == ("tracer_crashed", number)
    event = events.one("strace_crashed", pid=workload.pid, signal=number)
    assert event["level"] == "warning"
    assert events.all("strace_detach_timeout") == []
    assert workload.runs()
    assert await manager.attach(workload.pid)
    assert await manager.detach(workload.pid) is not None


async def test_a_full_trace_that_others_kill_is_a_crash(
    manager: StraceManager, start: Starter, events: Events, tmp_path: Path
) -> None:
    workload = start("tick")
    assert await manager.attach_full_trace(workload.pid, tmp_path / "trace")
    os.kill(manager.get_strace_pids()[0], signal.SIGKILL)
    await auntil(lambda: manager.get_strace_pids() == [], what="it is noticed")
    assert events.one("full_trace_crashed", pid=workload.pid, signal=signal.SIGKILL)["level"] == "warning"
    error = manager.last_error(workload.pid)
    assert error is not None
    assert error.code == "tracer_crashed"
    assert await manager.detach_full_trace(workload.pid), "the file stays"
    assert workload.runs()
