"""What a detach promises.

Of `manager/endings.py`, `manager/summary_traces.py`, `manager/trace_summary.py` and `linux/exit_status.py`.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.events import Events
from tests.support.owner import start_owner
from tests.support.poll import auntil
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")


async def test_unknown_is_none_at_once(manager: StraceManager) -> None:
    started = time.monotonic()
    assert await manager.detach(2**22 - 1) is None
    assert time.monotonic() - started < 0.5


async def test_two_detaches_share_nothing(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    answers = await asyncio.gather(*(manager.detach(workload.pid) for _ in range(3)))
    assert sorted(answer is None for answer in answers) == [False, True, True]
    assert manager.attached_pids == []


@pytest.mark.limit(40)
async def test_a_tracer_that_does_not_stop_is_killed(manager: StraceManager, start: Starter, events: Events) -> None:
    workload = start("vforkslow", 30)
    assert await manager.attach(workload.pid)
    (helper,) = manager.get_strace_pids()[:1]
    workload.go()
    await auntil(lambda: proc.state(workload.pid) == "D", what="it waits in vfork")
    started = time.monotonic()
    assert await manager.detach(workload.pid) is None
    assert time.monotonic() - started < 8
    assert events.one("strace_detach_timeout", pid=workload.pid)["level"] == "warning"
    assert not proc.alive(helper)
    assert proc.tracer(workload.pid) == 0


async def test_the_shape_of_a_result(manager: StraceManager, start: Starter) -> None:
    workload = start("errs", 4000)  # enough for a clock that tells CPU time in ticks of 4 ms
    assert await manager.attach(workload.pid)
    await workload.work()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["openat"] == 4000
    assert result["syscall_errors"]["openat"] == 4000
    assert result["syscall_errors"]["kill"] == 4000
    assert set(result["syscall_time_pct"]) == set(result["syscall_counts"]) == set(result["syscall_seconds"])
    assert sum(result["syscall_counts"].values()) == result["total_calls"] >= 16000
    assert all(type(count) is int for count in result["syscall_counts"].values())
    assert all(0 <= share <= 100 for share in result["syscall_time_pct"].values())
    assert sum(result["syscall_time_pct"].values()) == pytest.approx(100, abs=1)
    assert 0 < result["duration_s"] < 60
    assert result["quality"]["kind"] in ("exact", "partial")
    assert result["quality"]["overhead"]["pct"] > 0


async def test_no_call_is_an_empty_result_of_a_real_attachment(manager: StraceManager, start: Starter) -> None:
    workload = start("compute")
    workload.runs()
    assert await manager.attach(workload.pid)
    workload.runs()
    result = await manager.detach(workload.pid)
    assert result is not None
    assert (result["syscall_counts"], result["syscall_time_pct"], result["total_calls"]) == ({}, {}, 0)
    assert result["quality"]["tasks_traced"] == 1
    assert result["quality"]["lost"] == 0
    assert result["quality"]["kind"] != "lossy"


async def test_a_target_that_ended_still_has_its_summary(manager: StraceManager, start: Starter) -> None:
    workload = start("n", 400)
    assert await manager.attach(workload.pid)
    await workload.work()
    await asyncio.to_thread(workload.let_end)
    await auntil(lambda: manager.attached_pids == [], what="it drops out by itself")
    result = await manager.detach(workload.pid)
    assert result is not None
    assert result["syscall_counts"]["getppid"] == 400
    assert await manager.detach(workload.pid) is None


async def test_summaries_wait_until_they_are_asked_for(manager: StraceManager, start: Starter) -> None:
    counts = {}
    for count in (10, 20, 30):
        workload = start("n", count)
        assert await manager.attach(workload.pid)
        await workload.work()
        await asyncio.to_thread(workload.let_end)
        counts[workload.pid] = count
    await auntil(lambda: manager.attached_pids == [], what="all drop out")
    for pid, count in counts.items():
        result = await manager.detach(pid)
        assert result is not None
        assert result["syscall_counts"]["getppid"] == count
    assert manager.take_finished() == []


@pytest.mark.needs("root", "pidns")
def test_a_reused_pid_starts_anew(start: Starter) -> None:
    owner = start_owner(
        start,
        """
        import subprocess
        gt = os.environ["GT"]
        def run_as(pid, count):
            ours, theirs = socket.socketpair()
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
            process = subprocess.Popen([gt, "n", str(count)], pass_fds=(theirs.fileno(),),
                                       env={"GT_FD": str(theirs.fileno())})
            theirs.close()
            assert ours.recv(64).startswith(b"ready")
            if process.pid == pid:
                return process, ours
            process.kill(); process.wait()  # another process of this namespace was faster
            return run_as(pid, count)
        async def main():
            manager = StraceManager()
            for count in (30, 50):
                process, line = run_as(3000, count)
                assert await manager.attach(3000)
                line.sendall(b"g")
                assert line.recv(64) == b"done\\n"
                line.sendall(b"g")
                process.wait()
                while manager.attached_pids:
                    await asyncio.sleep(0.002)
            newest = await manager.detach(3000)
            others = [(target.pid, found["syscall_counts"]["getppid"]) for target, found in manager.take_finished()]
            say("newest", newest["syscall_counts"]["getppid"], "others", others)
            await manager.detach_all()
        asyncio.run(main())
        """,
        prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        env={"GT": str(start.gt)},
    )
    assert owner.channel.expect("newest", 20) == "50 others [(3000, 30)]"
    owner.process.wait(10)


async def test_stopped_stays_stopped(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    workload.stop()
    assert await manager.attach(workload.pid)
    assert await manager.detach(workload.pid) is not None
    assert proc.state(workload.pid) == "T"
    assert proc.tracer(workload.pid) == 0
    workload.cont()
    assert workload.runs()


async def test_running_goes_on(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    assert await manager.attach(workload.pid)
    assert workload.runs()
    assert await manager.detach(workload.pid) is not None
    assert workload.runs()
    assert workload.untraced()


async def test_detaching_right_after_attaching_loses_nothing(manager: StraceManager, start: Starter) -> None:
    workload = start("spin")
    for _ in range(20):
        assert await manager.attach(workload.pid)
        helpers = manager.get_strace_pids()
        result = await manager.detach(workload.pid)
        assert result is not None
        assert result["quality"]["kind"] in ("exact", "partial")
        assert workload.untraced()
        assert not any(proc.alive(pid) for pid in helpers)
    assert workload.runs()
