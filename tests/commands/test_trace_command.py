"""``straced trace --tracer strace -- CMD``: strace on a command from its first instruction; and a reader who stands.

Of `workflows/trace_command.py` and `concurrency/stopping.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from straced.syscalls import native_abi, number_of
from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.owner import NOBODY
from tests.support.poll import until

LOOP = "import os\nwhile True: os.getppid()"


@pytest.mark.needs("strace")
def test_a_command_is_traced_by_strace_from_its_first_instruction(tmp_path: Path) -> None:
    path = tmp_path / "t"
    done = straced("trace", "--tracer", "strace", "-o", path, "--", "sh", "-c", "echo its own; exit 3")
    assert (done.status, done.out) == (3, "its own\n"), done.err
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert re.search(r'execve\("\S*/sh", \["sh", "-c", "echo its own; exit 3"\]', lines[0])
    assert lines[-1].endswith("+++ exited with 3 +++")
    summary = straced("report", path, "--json").json()["summary"]
    assert (summary["target"]["comm"], summary["exit_status"]) == ("sh", 3)


@pytest.mark.needs("strace")
def test_lines_of_a_command_leave_it_its_stdout() -> None:
    done = straced("trace", "--tracer", "strace", "-e", "exit_group", "--", "sh", "-c", "echo its own; exit 4")
    assert (done.status, done.out) == (4, "its own\n")
    assert re.search(r"exit_group\(4\) += \?", done.err)


@pytest.mark.needs("strace")
def test_a_command_outlives_its_strace() -> None:
    command = [sys.executable, "-c", "print(input(), flush=True); raise SystemExit(6)"]
    process = popen_straced("trace", "--tracer", "strace", "--", *command, stdin=subprocess.PIPE)
    assert process.stderr is not None
    assert b"execve(" in process.stderr.readline()  # straced knows by now that it is traced: this came through it
    strace = until(lambda: _strace_of(process.pid), 30, "it is traced")
    assert process.stderr is not None
    os.read(process.stderr.fileno(), 1)  # its first line: before that the command would end with its trace
    os.kill(strace, signal.SIGKILL)
    out, err = process.communicate(b"it goes on\n", timeout=60)
    assert (process.returncode, out) == (6, b"it goes on\n")
    assert b"strace died" in err


def _strace_of(pid: int) -> int:
    """The tracer of the command that is a child of this process."""
    for child in proc.children(pid):
        if proc.comm(child).startswith("python") and (tracer := proc.tracer(child)):
            return tracer
    return 0


@pytest.mark.needs("strace")
def test_a_page_of_a_command(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = straced("trace", "--tracer", "strace", "--report", page, "--", "true")
    assert done.status == 0, done.err
    assert "execve" in page.read_text()
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["page.html"]


@pytest.mark.parametrize(
    "tracer",
    [pytest.param("ebpf", marks=pytest.mark.needs("ebpf")), pytest.param("strace", marks=pytest.mark.needs("strace"))],
)
def test_the_third_ctrl_c_leaves_a_reader_who_stands(tracer: str) -> None:
    with subprocess.Popen([sys.executable, "-c", LOOP]) as loop:
        try:
            process = popen_straced("trace", loop.pid, "--tracer", tracer)
            until(lambda: _stands(process.pid), 30, "the pipe is full")
            process.send_signal(signal.SIGINT)
            until(lambda: not _is_pending(process.pid, signal.SIGINT), 30, "it hears of it")
            until(lambda: not proc.tracer(loop.pid), 60, "it lets go")
            assert process.stderr is not None
            process.send_signal(signal.SIGINT)
            assert b"waiting for the reader" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert proc.state(loop.pid) in "RS"
            process.communicate()
        finally:
            loop.kill()


def _is_pending(pid: int, number: int) -> bool:
    """Whether a signal to a process has not been delivered yet: another one of that number would be lost."""
    return bool(int(proc.status(pid, "ShdPnd"), 16) >> (number - 1) & 1)


def _stands(pid: int) -> bool:
    """Whether a thread waits in a write to stdout."""
    wanted = f"{number_of('write', native_abi())} 0x1 "
    for tid in proc.tasks(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/task/{tid}/syscall").read_text().startswith(wanted):
                return True
    return False


@pytest.mark.needs("ebpf", "strace")
@pytest.mark.parametrize(
    ("words", "by_strace"),
    [((), False), (("-P", "/dev/null"), True), (("-s", "10"), True), (("-e", "%desc"), True), (("-Z",), False)],
)
def test_auto_takes_ebpf_where_it_may(tmp_path: Path, words: tuple[str, ...], by_strace: bool) -> None:
    path = tmp_path / "t"
    done = straced("trace", *words, "-o", path, "--", "cat", "/dev/null", "/none")
    assert done.status == 1, done.err
    assert ('"by_ebpf":true' not in path.read_text()) == by_strace
    assert ("traced by strace" in done.err) == by_strace
    assert ("since" in done.err) == (words == ("-e", "%desc"))


@pytest.mark.needs("root", "setpriv", "strace")
def test_auto_goes_on_to_strace_and_says_why() -> None:
    done = straced("trace", "-e", "exit_group", "--", "sh", "-c", "echo it ran; exit 3", prefix=NOBODY)
    assert (done.status, done.out) == (3, "it ran\n")
    assert "traced by strace, since" in done.err
    assert "exit_group(3)" in done.err
