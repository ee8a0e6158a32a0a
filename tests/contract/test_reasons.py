"""A refusal has a typed reason, the same in ``last_error`` and in the log."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from straced import StraceManager
from tests.support import proc
from tests.support.events import Events
from tests.support.needs import require
from tests.support.owner import NOBODY, start_owner
from tests.support.rival import rival_strace
from tests.support.workload import Starter, Workload

pytestmark = pytest.mark.needs("strace", "cc")


async def refused(manager: StraceManager, pid: int, code: str, events: Events, *names: str) -> None:
    assert await manager.attach(pid) is False
    error = manager.last_error(pid)
    assert error is not None
    assert error.code == code, error
    assert error.pid == pid
    assert len(error.reason.splitlines()) == 1
    found = [event for name in names for event in events.all(name)]
    assert [event["pid"] for event in found] == [pid], events.names()
    assert pid not in manager.attached_pids


async def test_gone(manager: StraceManager, events: Events) -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    await refused(manager, process.pid, "gone", events, "strace_target_already_exited")
    assert events.one("strace_target_already_exited")["level"] == "debug"


async def test_zombie(manager: StraceManager, start: Starter, events: Events) -> None:
    workload = start("zombie")
    (child,) = workload.channel.numbers("child")
    assert proc.state(child) == "Z"
    await refused(manager, child, "zombie", events, "strace_target_already_exited", "strace_attach_failed")
    workload.finish()
    workload.let_end()


async def test_already_traced(manager: StraceManager, start: Starter, events: Events) -> None:
    workload = start("tick")
    with rival_strace(workload.pid) as first:
        await refused(
            manager, workload.pid, "already_traced", events, "strace_permission_denied", "strace_attach_failed"
        )
        error = manager.last_error(workload.pid)
        assert getattr(error, "tracer_pid", None) == first.pid
        assert first.poll() is None, "the first tracer is unharmed"
        assert proc.tracer(workload.pid) == first.pid
    assert workload.runs()


@pytest.mark.needs("root")
async def test_kernel_thread(manager: StraceManager, events: Events) -> None:
    thread = next(pid for pid in proc.pids() if proc.parent(pid) == 2)
    await refused(manager, thread, "kernel_thread", events, "strace_permission_denied", "strace_attach_failed")


async def test_own_process_and_ancestors(manager: StraceManager, events: Events) -> None:
    await refused(manager, os.getpid(), "own_process", events, "strace_attach_failed", "strace_permission_denied")
    if os.getppid() > 1:
        assert await manager.attach(os.getppid()) is False
        error = manager.last_error(os.getppid())
        assert error is not None
        assert error.code == "own_process"


async def test_a_helper_of_its_own(manager: StraceManager, start: Starter, events: Events, tmp_path: Path) -> None:
    """There is nothing to attach to: no tracer of it, no summary, no warning. A full trace of it is refused."""
    workload = start("tick")
    assert await manager.attach(workload.pid)
    (helper,) = manager.get_strace_pids()
    for pid in {helper, proc.parent(helper)} - {1}:
        assert await manager.attach(pid) is True
        assert manager.last_error(pid) is None
        assert events.one("strace_own_helper", pid=pid)["level"] == "debug"
        assert await manager.detach(pid) is None
        assert proc.tracer(pid) == 0
        assert await manager.attach_full_trace(pid, tmp_path / "trace") is False
        error = manager.last_error(pid)
        assert error is not None
        assert error.code == "own_process"
    assert manager.attached_pids == [workload.pid]
    assert workload.runs()


@pytest.mark.needs("root")
async def test_pid_one_is_protected(manager: StraceManager) -> None:
    assert await manager.attach(1) is False
    error = manager.last_error(1)
    assert error is not None
    assert error.code in ("protected", "own_process")
    assert proc.tracer(1) == 0


def ask_as_nobody(start: Starter, target: Workload) -> list[str]:
    """The code and the events of a refusal to an owner without privileges."""
    owner = start_owner(
        start,
        """
        import logging
        names = []
        class Handler(logging.Handler):
            def emit(self, record):
                names.append(record.straced["event"])
        logging.getLogger("straced").addHandler(Handler())
        logging.getLogger("straced").setLevel(1)
        async def main(pid):
            manager = StraceManager()
            answer = await manager.attach(pid)
            error = manager.last_error(pid)
            say("answer", answer, error and error.code, ",".join(names))
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        prefix=NOBODY,
        env={"TARGET": str(target.pid)},
    )
    words = owner.channel.expect("answer").split()
    owner.process.wait(10)
    return words


@pytest.mark.needs("root", "setpriv")
def test_another_users_process(start: Starter) -> None:
    target = start("tick")
    answer, code, names = ask_as_nobody(start, target)
    assert (answer, code) == ("False", "uid")
    assert "strace_permission_denied" in names.split(",")
    assert target.runs()


@pytest.mark.needs("root", "setpriv")
def test_not_dumpable(start: Starter) -> None:
    target = start.program([*NOBODY, str(start.gt), "nodump"])
    answer, code, _ = ask_as_nobody(start, target)
    assert (answer, code) == ("False", "not_dumpable")
    assert target.runs()


@pytest.mark.needs("root", "setpriv")
def test_root_without_the_capability(start: Starter) -> None:
    require("root")
    target = start.program([*NOBODY, str(start.gt), "tick"])
    owner = start_owner(
        start,
        """
        async def main(pid):
            manager = StraceManager()
            answer = await manager.attach(pid)
            say("answer", answer, manager.last_error(pid).code, manager.last_error(pid).reason)
        asyncio.run(main(int(os.environ["TARGET"])))
        """,
        prefix=("setpriv", "--bounding-set=-sys_ptrace"),
        env={"TARGET": str(target.pid)},
    )
    answer = owner.channel.expect("answer")
    assert answer.startswith("False capability")
    assert "CAP_SYS_PTRACE" in answer
    owner.process.wait(10)
    assert target.runs()


async def test_an_error_is_forgotten_after_a_success(manager: StraceManager, start: Starter) -> None:
    workload = start("tick")
    with rival_strace(workload.pid):
        assert await manager.attach(workload.pid) is False
    assert await manager.attach(workload.pid) is True
    assert manager.last_error(workload.pid) is None
