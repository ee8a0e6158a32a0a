"""What cannot be right is refused with one typed error; the id of a thread means its process.

Of `model/choices.py` and `workflows/hints.py`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from straced import Profiler, StraceManager
from straced.errors import InvalidArgument
from tests.support import proc
from tests.support.cli import straced
from tests.support.events import Events
from tests.support.workload import Starter

pytestmark = [pytest.mark.needs("strace", "cc")]


def test_a_tracer_that_does_not_exist() -> None:
    with pytest.raises(InvalidArgument, match="'nonsense' is not a tracer"):
        Profiler("nonsense")


@pytest.mark.parametrize(
    "limits", [{"max_overhead_pct": math.nan}, {"max_overhead_pct": -1}, {"max_tasks": 0}, {"max_tasks": 1.5}], ids=str
)
def test_limits_that_nothing_can_be_compared_with(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="is not a"):
        Profiler("strace", **limits)


def test_the_command_line_refuses_such_a_limit(tmp_path: Path) -> None:
    made = tmp_path / "made"
    found = straced("run", "--max-overhead", "nan", "--", "touch", str(made))
    assert found.status == 125
    assert len(found.err.splitlines()) <= 3
    assert "nan is not a slowdown" in found.err
    assert not made.exists()


async def test_a_kind_of_time_that_does_not_exist(tracer: str, start: Starter, tmp_path: Path) -> None:
    made = tmp_path / "made"
    async with Profiler(tracer) as profiler:
        with pytest.raises(InvalidArgument, match="'nonsense' is not a kind of time"):
            await profiler.attach(start("tick").pid, time="nonsense")
        with pytest.raises(InvalidArgument, match="'nonsense' is not a kind of time"):
            await profiler.spawn(["touch", str(made)], time="nonsense")
        assert profiler.sessions == []
    assert not made.exists()


def thread_of(pid: int) -> int:
    return next(tid for tid in proc.tasks(pid) if tid != pid)


async def test_a_thread_means_its_process(tracer: str, start: Starter) -> None:
    target = start("threads", 3)
    tid = thread_of(target.pid)
    async with Profiler(tracer) as profiler:
        session = await profiler.attach(tid)
        assert session.target.pid == target.pid
        assert (await session.detach()).target.pid == target.pid


async def test_a_manager_says_that_a_thread_means_its_process(
    manager: StraceManager, start: Starter, events: Events, tmp_path: Path
) -> None:
    target = start("threads", 3)
    tid = thread_of(target.pid)
    assert await manager.attach(tid)
    assert manager.attached_pids == [target.pid]
    assert events.one("strace_thread_of_process")["pid"] == target.pid
    helpers = manager.get_strace_pids()
    assert await manager.attach(target.pid), "it is attached to already"
    assert manager.get_strace_pids() == helpers
    assert await manager.detach(tid) is not None
    assert await manager.attach_full_trace(tid, tmp_path / "trace")
    assert await manager.detach_full_trace(target.pid)


def test_the_command_line_says_so(tracer: str, start: Starter, tmp_path: Path) -> None:
    target = start("threads", 3)
    tid = thread_of(target.pid)
    line = f"{tid} is a thread of {target.pid} (gt), which is "
    found = straced("attach", str(tid), "--tracer", tracer, "-d", "0.2s", "--json")
    assert found.status == 0, found.err
    assert line + "counted" in found.err
    assert found.json()["target"]["pid"] == target.pid
    if tracer == "strace":
        found = straced("trace", str(tid), "--tracer", "strace", "-o", str(tmp_path / "trace"), "-d", "0.2s")
        assert found.status == 0, found.err
        assert line + "traced" in found.err
