"""What an operator meets with ``straced run``: ends of all kinds, streams that are gone, helpers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.needs import require
from tests.support.poll import until
from tests.support.shell import LIMIT_S, Shell
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc", "bash", "setsid")
TRACERS = ("ebpf", "strace", "sampler")


@pytest.fixture(params=TRACERS)
def tracer(request: pytest.FixtureRequest, start: Starter) -> str:
    if request.param == "ebpf":
        require("ebpf")
    return str(request.param)


def command_of(run: subprocess.Popen[bytes], comm: str) -> int:
    def find() -> list[int]:
        return [pid for pid in proc.children(run.pid) if proc.comm(pid) == comm]

    return until(find, LIMIT_S, f"{comm} runs")[0]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGPIPE])
def test_a_command_that_a_signal_kills(tracer: str, number: signal.Signals) -> None:
    result = straced("run", "--tracer", tracer, "--json", "--", "sh", "-c", f"kill -{number.value} $$")
    assert result.status == 128 + number
    told = result.json()
    assert (told["end"], told["exit_status"]) == (f"killed({number.value})", -number)


def test_a_command_that_is_not_there_or_no_program(start: Starter, tmp_path: Path) -> None:
    report, plain = tmp_path / "report", tmp_path / "plain"
    plain.write_text("x")
    for command, status in (("no-such-program", 127), (tmp_path / "none", 127), (plain, 126), (tmp_path, 126)):
        straced("run", "-o", report, "--", command).assert_clear_error(status)
        assert not report.exists(), "no report of what was not run"


@pytest.mark.parametrize("where", ["/dev/null/x", "/proc/x"])
def test_a_report_that_cannot_be_written_is_said_before_the_command_runs(
    start: Starter, tmp_path: Path, where: str
) -> None:
    marker = tmp_path / "was-run"
    straced("run", "-o", where, "--", "touch", marker).assert_clear_error(125)
    assert not marker.exists()


def test_ctrl_c_twice(tracer: str) -> None:
    script = "trap 'n=$((n+1)); echo caught $n; [ $n -lt 2 ] || exit 5' INT; echo up; while :; do sleep 0.05; done"
    with Shell() as shell:
        shell.run("run", "--tracer", tracer, "--", "sh", "-c", script)
        shell.expect("\nup")
        for count in (1, 2):
            shell.type("\x03")
            shell.expect(f"caught {count}")
        assert "exit 5" in shell.expect("ready> ")


@pytest.mark.parametrize("leader", [True, False], ids=["session leader", "job of a shell"])
def test_a_terminal_that_is_closed_ends_the_command(tracer: str, leader: bool) -> None:
    """As with ``ssh -t HOST straced run ...``, where straced leads the session and alone is told."""
    with Shell() as shell:
        if leader:
            shell.type("exec ")
        shell.run("run", "--tracer", tracer, "--", "sh", "-c", "echo up; sleep 60; true")
        shell.expect("\nup")
        run = shell.process.pid if leader else shell.job("sh")[0]
        below = proc.descendants(run)
        assert {proc.comm(pid) for pid in below} >= {"sh"}
        shell.hang_up()
        until(lambda: not any(map(proc.alive, (run, *below))), LIMIT_S, "all are gone")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_by_who_started_it(tracer: str, closed: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    prefix = ("sh", "-c", f'exec "$@" {closed}', "sh")
    script = f"ls -l /proc/self/fd > {tmp_path}/fds; exit 3"
    result = straced("run", "--tracer", tracer, "--json", "-o", report, "--", "sh", "-c", script, prefix=prefix)
    assert result.status == 3, result.err
    assert json.loads(report.read_text())["exit_status"] == 3
    assert "anon_inode" not in (tmp_path / "fds").read_text(), "the command has no descriptor of ours in their place"


BUFFERED = {"PYTHONUNBUFFERED": ""}
"""As at a user's: what could not be written is tried again when the interpreter ends."""


@pytest.mark.parametrize("words", [(), ("--tracer", "strace"), ("--json",)])
def test_nobody_reads_stderr(start: Starter, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = popen_straced("run", *words, "--", "sh", "-c", "echo out; exit 3", stderr=writer, env=BUFFERED)
    os.close(writer)
    out, _ = run.communicate(timeout=LIMIT_S)
    assert (run.returncode, out) == (3, b"out\n")


def test_nobody_reads_stderr_and_the_tracer_is_refused(start: Starter) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    prefix = (str(start.gt), "noptrace")
    words = ("run", "--tracer", "strace", "--", "sh", "-c", "exit 3")
    run = popen_straced(*words, stderr=writer, prefix=prefix, env=BUFFERED)
    os.close(writer)
    run.communicate(timeout=LIMIT_S)
    assert run.returncode == 3


def helpers_of(run: int, command: int) -> dict[str, int]:
    """The guard of a run and the strace that traces its command; one that is starting only is made good for."""
    found = {"strace": tracer} if (tracer := proc.tracer(command)) else {}
    for pid in proc.descendants(run):
        if "guard" in " ".join(proc.cmdline(pid)) and proc.parent(pid) == run:
            found["guard"] = pid
    return found


def rest(*pids: int) -> bool:
    """Whether none of them ran for a while, nor waits for a CPU: no word is under way between them."""
    before = [proc.switches(pid) for pid in pids]
    time.sleep(0.3)  # the time for which it has to hold
    return [proc.switches(pid) for pid in pids] == before and all(proc.state(pid) == "S" for pid in pids)


@pytest.mark.parametrize("victim", ["strace", "guard"])
def test_a_helper_that_is_killed_takes_nothing_with_it_but_figures(start: Starter, victim: str) -> None:
    words = ("run", "--tracer", "strace", "--json", "--", "sh", "-c", "read word; echo got $word; exit 3")
    run = popen_straced(*words, stdin=subprocess.PIPE)
    command = command_of(run, "sh")
    helpers = until(lambda: len(found := helpers_of(run.pid, command)) == 2 and found, LIMIT_S, "strace and its guard")
    assert helpers
    until(lambda: rest(run.pid, command, *helpers.values()), LIMIT_S, "the attach is confirmed, and all wait")
    os.kill(helpers[victim], signal.SIGKILL)
    until(lambda: proc.tracer(command) == 0, LIMIT_S, "its strace is gone")
    out, err = run.communicate(b"it\n", timeout=LIMIT_S)
    assert (run.returncode, out) == (3, b"got it\n"), err
    told = json.loads(err[err.index(b"{") :])
    assert told["exit_status"] == 3
    assert told["quality"]["kind"] in ("partial", "lossy")
    assert told["end"].startswith("tracer_crashed")


def test_killed_itself_it_leaves_the_command_running(tracer: str) -> None:
    run = popen_straced("run", "--tracer", tracer, "--", "sh", "-c", "read word; echo got $word", stdin=subprocess.PIPE)
    command = command_of(run, "sh")
    run.kill()
    run.wait(LIMIT_S)
    until(lambda: proc.tracer(command) == 0 and proc.state(command) == "S", LIMIT_S, "it waits on, untraced")
    out, _ = run.communicate(b"it\n", timeout=LIMIT_S)
    assert out == b"got it\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_before_the_command_has_begun(tracer: str, number: signal.Signals) -> None:
    """It goes to what is there in place of the command, which then never begins."""
    run = popen_straced("run", "--tracer", tracer, "--", "sleep", "60")
    until(lambda: proc.children(run.pid), LIMIT_S, "the child is there")
    run.send_signal(number)
    run.communicate(timeout=LIMIT_S)
    assert run.returncode == 128 + number


def test_whoever_started_it_ignores_the_ends_of_children(tracer: str) -> None:
    """An ignored SIGCHLD is inherited, and then the kernel throws away the statuses of children."""
    ignored = ("env", "--ignore-signal=CHLD")
    result = straced("run", "--tracer", tracer, "--", "sh", "-c", "read none; exit 3", prefix=ignored)
    assert result.status == 3, result.err
    assert "exit 3" in result.err
