"""A command that is stopped and continued: by others, by Ctrl-Z at a real terminal, by itself.

Of `workflows/foreground.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced import Profiler, StraceManager
from tests.support import proc
from tests.support.cli import popen_straced
from tests.support.needs import require
from tests.support.poll import auntil, until
from tests.support.shell import LIMIT_S, Shell
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc", "bash", "setsid")
TRACERS = ("ebpf", "strace", "sampler")
EDITOR = """
import os, select, signal, time
def leave(number, frame):
    time.sleep(0.3)
    os.write(1, b"tidied\\n")
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.signal(signal.SIGTSTP, leave)
    os.write(1, b"back\\n")
signal.signal(signal.SIGTSTP, leave)
os.write(1, b"editing\\n")
while not select.select([0], [], [], 0.05)[0]:  # Ctrl-Z right before a read would be noticed after it only
    pass
input()
"""


@pytest.fixture(params=TRACERS)
def tracer(request: pytest.FixtureRequest, start: Starter) -> str:
    if request.param == "ebpf":
        require("ebpf")
    return str(request.param)


def is_stopped(pid: int) -> bool:
    return proc.state(pid) in ("T", "t")


@contextlib.contextmanager
def running(tracer: str, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run in a group of its own, as a shell would start it, so that it can be stopped; and the pid of its command."""
    options = {"stdin": subprocess.PIPE, "process_group": 0}
    run = popen_straced("run", "--tracer", tracer, "--", *words, **options)
    try:
        comms = {words[0]}
        (command,) = until(lambda: [p for p in proc.children(run.pid) if proc.comm(p) in comms], LIMIT_S, "it runs")
        yield run, command
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN])
def test_a_command_that_others_stop_and_continue_goes_on(tracer: str, number: signal.Signals) -> None:
    with running(tracer, "sh", "-c", "read word; echo got $word") as (run, command):
        for _ in range(2):  # as cpulimit does, again and again
            os.kill(command, number)
            until(lambda: is_stopped(command), LIMIT_S, "it is stopped")
            os.kill(command, signal.SIGCONT)
            until(lambda: proc.state(command) == "S", LIMIT_S, "it waits for its line again")
        out, err = run.communicate(b"it\n", timeout=LIMIT_S)
    assert (run.returncode, out) == (0, b"got it\n"), err
    assert b"exit 0" in err


def test_a_command_that_dies_while_it_is_stopped_has_its_status(tracer: str) -> None:
    with running(tracer, "sleep", "60") as (run, command):
        os.kill(command, signal.SIGSTOP)
        until(lambda: is_stopped(command), LIMIT_S, "it is stopped")
        os.kill(command, signal.SIGKILL)
        _, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 128 + signal.SIGKILL, err


def test_ctrl_z_and_fg(tracer: str) -> None:
    """The shell has its prompt back, all of the job is stopped, and ``fg`` goes on with the same figures."""
    with Shell() as shell:
        shell.run("run", "--tracer", tracer, "--", "sh", "-c", "echo up; read word; echo got $word; exit 7")
        shell.expect("\nup")
        run, command = shell.job("sh")
        for _ in range(2):
            shell.type("\x1a")
            shell.expect("Stopped  ")  # and not Stopped(SIGSTOP)
            shell.expect("ready> ")
            until(lambda: is_stopped(run) and is_stopped(command), LIMIT_S, "both are stopped")
            shell.type("fg\n")
            until(lambda: not is_stopped(run) and proc.state(command) == "S", LIMIT_S, "it waits for its line")
        shell.type("\x1a")
        shell.expect("Stopped  ")
        shell.type("bg\n")
        shell.expect(" &")
        until(lambda: is_stopped(run) and is_stopped(command), LIMIT_S, "it may not read, and both are stopped")
        # they look stopped from before, too, until the shell has continued them
        until(lambda: shell.type("jobs\n") or "Stopped  " in shell.expect("ready> "), LIMIT_S, "the shell has seen it")
        shell.type("fg\n")
        until(lambda: not is_stopped(run) and proc.state(command) == "S", LIMIT_S, "it waits for its line")
        shell.type("it\n")
        shell.expect("got it")
        report = shell.expect("ready> ")
        assert "exit 7" in report
        shell.type("echo status $?\n")
        shell.expect("status 7")


def test_the_shell_waits_until_an_editor_has_put_the_terminal_in_order(tracer: str, tmp_path: Path) -> None:
    """One that handles Ctrl-Z stops when it is ready to; only then is the job stopped."""
    editor = tmp_path / "editor.py"
    editor.write_text(EDITOR)
    with Shell() as shell:
        shell.run("run", "--tracer", tracer, "--", sys.executable, editor)
        shell.expect("\nediting")
        shell.type("\x1a")
        assert "tidied" in shell.expect("Stopped  ")
        shell.type("fg\n")
        shell.expect("\nback")
        shell.type("\n")
        assert "exit 0" in shell.expect("ready> ")


def test_ctrl_z_means_nothing_to_a_command_that_ignores_it(tracer: str) -> None:
    with Shell() as shell:
        shell.run("run", "--tracer", tracer, "--", "sh", "-c", "trap '' TSTP; echo up; read word; echo got $word")
        shell.expect("\nup")
        run, _ = shell.job("sh")
        shell.type("\x1ait\n")
        shell.expect("got it")
        assert "Stopped" not in shell.expect("exit 0")
        until(lambda: not proc.alive(run), LIMIT_S, "run is over")


def test_a_command_that_only_others_stopped_can_be_suspended_with_ctrl_z(tracer: str) -> None:
    with Shell() as shell:
        shell.run("run", "--tracer", tracer, "--", "sh", "-c", "echo up; read word; echo got $word")
        shell.expect("\nup")
        run, command = shell.job("sh")
        os.kill(command, signal.SIGSTOP)  # not by itself: under strace it looks stopped at each call, also before that
        until(lambda: is_stopped(command), LIMIT_S, "the command is stopped")
        shell.type("\x1a")
        shell.expect("Stopped  ")
        assert is_stopped(run)
        shell.type("fg\n")
        until(lambda: not is_stopped(run) and proc.state(command) == "S", LIMIT_S, "it waits for its line")
        shell.type("it\n")
        shell.expect("got it")
        shell.expect("exit 0")


def test_stop_and_continue_sent_to_run_reach_its_command(tracer: str) -> None:
    """By one who knows no other pid."""
    with running(tracer, "sleep", "60") as (run, command):
        for _ in range(2):
            run.send_signal(signal.SIGTSTP)
            until(lambda: is_stopped(command) and is_stopped(run.pid), LIMIT_S, "both are stopped")
            run.send_signal(signal.SIGCONT)
            until(lambda: proc.state(command) == "S", LIMIT_S, "its command goes on")
        run.terminate()
        _, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 128 + signal.SIGTERM, err


def test_attach_is_suspended_alone(tracer: str, start: Starter) -> None:
    """Ctrl-Z stops who looks, not who is looked at, and ``fg`` goes on with all that was counted meanwhile."""
    target = start("tick")
    with Shell() as shell:
        shell.run("attach", "--tracer", tracer, target.pid)
        shell.expect("Ctrl-C ends it")
        shell.type("\x1a")
        shell.expect("Stopped  ")
        ticks = target.ticks()
        until(lambda: target.ticks() > ticks + 5, LIMIT_S, "the target runs on")
        shell.type("fg\n")
        (run,) = proc.children(shell.process.pid)
        until(lambda: not is_stopped(run), LIMIT_S, "it goes on")
        shell.type("\x03")
        shell.expect(tracer.replace("ebpf", "eBPF"))
        shell.expect("ready> ")
    until(target.untraced, LIMIT_S, "it is let go")


def test_trace_is_suspended_alone(start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    with Shell() as shell:
        shell.run("trace", target.pid, "-o", f"{tmp_path}/t.txt")
        shell.expect("Ctrl-C ends it")
        shell.type("\x1a")
        shell.expect("Stopped  ")
        ticks = target.ticks()
        until(lambda: target.ticks() > ticks + 5, LIMIT_S, "the target runs on")
        shell.type("fg\n")
        (run,) = proc.children(shell.process.pid)
        until(lambda: not is_stopped(run), LIMIT_S, "it goes on")
        shell.type("\x03")
        shell.expect("ready> ")
    until(target.untraced, LIMIT_S, "it is let go")


async def stopped_and_continued(pid: int) -> None:
    await auntil(lambda: proc.comm(pid) == "sh", LIMIT_S, "the program runs")
    os.kill(pid, signal.SIGSTOP)
    await auntil(lambda: is_stopped(pid), LIMIT_S, "it is stopped")
    os.kill(pid, signal.SIGCONT)


async def test_a_spawned_program_is_stopped_and_continued(tracer: str) -> None:
    async with Profiler(tracer=tracer) as profiler:
        session = await profiler.spawn(["sh", "-c", "read word; exit 3"], stdin=subprocess.PIPE)
        assert session.process is not None
        await stopped_and_continued(session.process.pid)
        await asyncio.wait_for(session.process.communicate(b"\n"), LIMIT_S)
        summary = await asyncio.wait_for(session.result(), LIMIT_S)
    assert session.process.returncode == 3
    assert summary.tracer == tracer


async def test_a_program_that_the_manager_spawned_is_stopped_and_continued(manager: StraceManager) -> None:
    process = await manager.spawn(["sh", "-c", "read word; exit 3"], stdin=subprocess.PIPE)
    await stopped_and_continued(process.pid)
    await asyncio.wait_for(process.communicate(b"\n"), LIMIT_S)
    assert process.returncode == 3
    assert await manager.detach(process.pid) is not None
