"""A strace that is slow between two steps of its attaching: the target must not be told to be traced too early.

Of `tracers/strace/attach_steps.py`, `tracers/strace/tasks.py` and `tracers/strace/context_switches.py`.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from straced import Profiler
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
CALLS = 20
SLOW = """#!/bin/sh
case "$1" in -V) exec {strace} "$@" ;; esac
exec {strace} -D -o /dev/null -e trace=ptrace -e inject=ptrace:delay_enter=20000 {strace} "$@"
"""
"""A strace whose own ptrace calls begin 20 ms late: another one, which is not its parent (-D), sees to that."""


@pytest.fixture
def slow_strace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "strace"
    slow.write_text(SLOW.format(strace=shutil.which("strace")))
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.limit(60)
async def test_threads_that_it_comes_to_later_are_not_taken_for_missed(start: Starter, slow_strace: None) -> None:
    """Each of them got a strace of its own on a busy machine, where one takes its time between two threads."""
    target = start("threads", 5)
    async with Profiler(tracer="strace") as profiler:
        session = await profiler.attach(target.pid)
        assert len(session.helper_pids) == 1
        await session.detach()


@pytest.mark.limit(60)
async def test_no_call_is_missed_between_the_seizing_and_the_first_stop(start: Starter, slow_strace: None) -> None:
    """Seized, the target has a tracer; only when that has interrupted it (ptrace(2)) are its calls seen."""
    async with Profiler(tracer="strace") as profiler:
        for _ in range(2):
            target = start("spin", CALLS, go=False)
            session = await profiler.attach(target.pid)
            target.go()
            await asyncio.to_thread(target.channel.expect, "lap", 30.0)
            summary = await session.detach()
            assert {row.name: row.calls for row in summary.rows}["getppid"] == CALLS
            target.kill()
