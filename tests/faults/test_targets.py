"""Targets that cannot be had, each told apart, none of them harmed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from straced import Profiler, errors
from tests.support import proc
from tests.support.cli import STRACED, straced
from tests.support.owner import NOBODY, environment, start_owner
from tests.support.poll import auntil, until
from tests.support.rival import rival_strace
from tests.support.workload import Starter
from tests.support.world import WORLD

NEW_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
QUIET = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
pytestmark = pytest.mark.needs("strace", "cc")


async def test_no_such_process(profiler: Profiler) -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with pytest.raises(errors.NoSuchProcess) as caught:
        await profiler.attach(process.pid)
    assert caught.value.pid == process.pid
    assert caught.value.exit_code == 3


NOT_PIDS = st.one_of(
    st.integers(max_value=0),
    st.integers(min_value=2**22 + 1),
    st.text(max_size=12),
    st.binary(max_size=8),
    st.floats(),
    st.none(),
    st.lists(st.integers(), max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=NOT_PIDS)
def test_what_is_no_pid_is_refused_before_a_spawn(start: Starter, value: object) -> None:
    async def ask() -> None:
        async with Profiler(tracer="strace") as profiler:
            with pytest.raises((errors.InvalidArgument, errors.NoSuchProcess)):
                await profiler.attach(value)  # type: ignore[arg-type]

    before = WORLD.processes()
    asyncio.run(ask())
    assert not [pid for pid in WORLD.processes() - before if proc.comm(pid) == "strace"]


@pytest.mark.parametrize("smuggled", ["{0} {1}", "{0},{1}", "{0}\n{1}", "{0} -o /tmp/x", "-p{0}", "`{0}`"])
async def test_no_list_is_smuggled_into_a_pid(profiler: Profiler, start: Starter, smuggled: str) -> None:
    one, two = start("tick"), start("tick")
    with pytest.raises(errors.InvalidArgument):
        await profiler.attach(smuggled.format(one.pid, two.pid))  # type: ignore[arg-type]
    assert one.untraced()
    assert two.untraced()


async def test_zombie(profiler: Profiler, start: Starter) -> None:
    workload = start("zombie")
    (child,) = workload.channel.numbers("child")
    with pytest.raises(errors.TargetIsZombie):
        await profiler.attach(child)
    workload.finish()
    workload.let_end()


async def test_the_leader_has_exited_and_threads_live(profiler: Profiler, start: Starter) -> None:
    workload = start("ldead")
    await auntil(lambda: proc.state(workload.pid) == "Z", what="the leader is a zombie")
    session = await profiler.attach(workload.pid)
    assert all(task.tracer in session.helper_pids for task in proc.tasks(workload.pid).values())
    before = workload.ticks()
    await auntil(lambda: workload.ticks() > before + 20, what="it runs, traced")
    summary = await session.detach()
    assert (summary.syscalls["getppid"].calls or 0) >= 20
    assert "leader" in " ".join(reason.text for reason in summary.quality.reasons)
    assert workload.untraced()
    assert workload.runs()


@pytest.mark.needs("root")
async def test_kernel_thread(profiler: Profiler) -> None:
    thread = next(pid for pid in proc.pids() if proc.parent(pid) == 2)
    with pytest.raises(errors.KernelThread):
        await profiler.attach(thread)


async def test_traced_by_another_strace(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    with rival_strace(workload.pid) as rival:
        with pytest.raises(errors.AlreadyTraced) as caught:
            await profiler.attach(workload.pid)
        assert caught.value.tracer_pid == rival.pid
        assert "strace" in caught.value.reason
        assert rival.poll() is None
    assert workload.runs()


@pytest.mark.needs("gdb")
async def test_traced_by_gdb(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    gdb = await asyncio.create_subprocess_exec("gdb", "-nx", "-q", "-p", str(workload.pid), **QUIET)
    try:
        await auntil(lambda: proc.tracer(workload.pid) == gdb.pid, 30, "gdb attaches")
        with pytest.raises(errors.AlreadyTraced) as caught:
            await profiler.attach(workload.pid)
        assert caught.value.tracer_pid == gdb.pid
        assert "gdb" in caught.value.reason
        assert proc.tracer(workload.pid) == gdb.pid
    finally:
        await gdb.communicate(b"detach\nquit\n")
    assert workload.runs()


@pytest.mark.needs("root", "setpriv")
def test_another_users_process(start: Starter) -> None:
    target = start("tick")
    result = straced("attach", target.pid, "--tracer", "strace", prefix=NOBODY)
    result.assert_clear_error(4)
    assert target.runs()


@pytest.mark.needs("root", "setpriv")
def test_not_dumpable(start: Starter) -> None:
    target = start.program([*NOBODY, str(start.gt), "nodump"])
    straced("attach", target.pid, "--tracer", "strace", prefix=NOBODY).assert_clear_error(4)
    result = straced("attach", target.pid, "--tracer", "strace", "-d", "0.2s", "--json")
    assert result.status == 0, "root may"
    assert target.runs()


@pytest.mark.needs("root", "setpriv")
def test_root_without_cap_sys_ptrace(start: Starter) -> None:
    target = start.program([*NOBODY, str(start.gt), "tick"])
    result = straced("attach", target.pid, "--tracer", "strace", prefix=("setpriv", "--bounding-set=-sys_ptrace"))
    result.assert_clear_error(4)
    assert "CAP_SYS_PTRACE" in result.err


def test_ptrace_refused_by_seccomp(start: Starter) -> None:
    target = start("tick")
    result = straced("attach", target.pid, "--tracer", "strace", prefix=(str(start.gt), "noptrace"))
    result.assert_clear_error(4)
    assert "seccomp" in result.err.lower()
    assert target.runs()


def test_a_program_still_runs_where_ptrace_is_refused(start: Starter) -> None:
    words, prefix = ("--tracer", "strace"), (str(start.gt), "noptrace")
    assert straced("run", *words, "--", start.gt, "leave", "7", prefix=prefix).status == 7
    required = straced("run", *words, "--require-trace", "--", start.gt, "leave", "7", prefix=prefix)
    required.assert_clear_error(125)


@pytest.mark.needs("root", "pidns")
async def test_a_target_in_another_pid_namespace(profiler: Profiler, start: Starter) -> None:
    script = f"{start.gt} tick; true"
    outer = start.program([*NEW_NAMESPACE, "sh", "-c", script], go=True)
    below = [pid for pid in proc.descendants(outer.pid) if proc.cmdline(pid)[1:] == ["tick"]]
    (inner,) = below
    session = await profiler.attach(inner)
    assert session.target.pid == inner
    assert proc.tracer(inner) in session.helper_pids
    for _ in range(3):  # the call in flight at the attach is resumed, and counts as no new one
        outer.runs()
    summary = await session.detach()
    assert (summary.total.calls or 0) > 0
    assert proc.tracer(inner) == 0
    assert outer.runs()


@pytest.mark.needs("root", "pidns")
async def test_the_init_of_a_namespace_may_be_traced(profiler: Profiler, start: Starter) -> None:
    outer = start.program([*NEW_NAMESPACE, str(start.gt), "tick"])
    (init,) = proc.children(outer.pid)
    assert proc.status(init, "NSpid").split()[-1] == "1"
    session = await profiler.attach(init)
    assert proc.tracer(init) in session.helper_pids
    await session.detach()
    assert outer.runs()


@pytest.mark.needs("root", "pidns")
def test_pid_one_of_a_container_from_within(start: Starter) -> None:
    outer = start.program([*NEW_NAMESPACE, str(start.gt), "tick"])
    (init,) = proc.children(outer.pid)
    owner = start_owner(
        start,
        """
        async def main():
            manager = StraceManager()
            answer = await manager.attach(1)
            result = await manager.detach(1)
            say("answer", os.getpid() < 100, answer, manager.last_error(1), result is not None)
        asyncio.run(main())
        """,
        prefix=("nsenter", "-t", str(init), "-p", "-m", "--"),
    )
    assert owner.channel.expect("answer", 15) == "True True None True"
    owner.process.wait(10)
    assert outer.runs()


@pytest.mark.needs("root")
async def test_the_hosts_pid_one_is_refused(profiler: Profiler) -> None:
    with pytest.raises((errors.ProtectedTarget, errors.OwnProcess)):
        await profiler.attach(1)
    assert proc.tracer(1) == 0


def test_its_own_parent(start: Starter) -> None:
    shell = start.program(
        ["sh", "-c", '"$@" attach $$ --tracer strace 2>&1; echo status $?', "sh", *STRACED],
        ready=False,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    out, _ = shell.process.communicate(timeout=20)
    assert out.decode().rstrip().endswith("status 2")
    assert "Traceback" not in out.decode()


async def test_another_tracer_is_never_traced(profiler: Profiler, start: Starter) -> None:
    workload = start("tick")
    with rival_strace(workload.pid) as rival:
        with pytest.raises(errors.AttachError):
            await profiler.attach(rival.pid)
        assert proc.tracer(rival.pid) == 0
    assert workload.runs()


def test_some_of_many_are_bad(start: Starter) -> None:
    good = start("tick")
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    result = straced("attach", good.pid, gone.pid, "--tracer", "strace", "-d", "0.3s", "--json")
    assert f"{gone.pid}" in result.err
    assert f'"pid":{good.pid}' in result.out.replace(" ", "")
    assert result.status == 3, "the good one has its result, the status tells of the other"
    until(good.untraced)
    assert good.runs()
