"""``straced run``: the program behaves as without straced, and the report tells what it did.

Of `commands/run.py` and `workflows/run.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
STRACE = ("--tracer", "strace")


def test_the_report_is_on_stderr_and_stdout_is_the_commands(start: Starter) -> None:
    result = straced("run", *STRACE, "--", "echo", "hello")
    assert (result.status, result.out) == (0, "hello\n")
    first = result.err.splitlines()[0]
    assert first.startswith("echo hello: exit 0 · ")
    assert "calls" in first
    assert " write" in result.err
    assert "strace" in result.err.splitlines()[-1]
    assert "slower" in result.err.splitlines()[-1]


def test_json_counts_exactly(start: Starter) -> None:
    result = straced("run", *STRACE, "--json", "--", start.gt, "n", 500).json()
    assert result["schema"] == "straced.summary/1"
    rows = {row["name"]: row for row in result["syscalls"]}
    assert rows["getppid"]["calls"] == 500
    assert rows["execve"]["calls"] == 1
    assert result["exit_status"] == 0
    assert result["tracer"] == "strace"
    assert rows["getppid"]["class"] == "process"
    assert result["target"]["start_ticks"] > 0
    assert result["total"]["calls"] == sum(row["calls"] for row in result["syscalls"])


def test_into_a_file(start: Starter, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = straced("run", *STRACE, "-o", path, "--json", "--", "echo", "x")
    assert (result.status, result.out) == (0, "x\n")
    assert "syscall" not in result.err
    assert json.loads(path.read_text())["schema"] == "straced.summary/1"


def test_stdin_is_the_commands(start: Starter) -> None:
    process = popen_straced("run", *STRACE, "--", "cat", stdin=subprocess.PIPE)
    out, _ = process.communicate(b"through\n", timeout=20)
    assert (process.returncode, out) == (0, b"through\n")


def test_a_pipeline_is_counted_whole(start: Starter) -> None:
    result = straced("run", *STRACE, "--json", "--", "sh", "-c", f"{start.gt} n 40 | cat; {start.gt} n 2; exit 3")
    assert result.status == 3
    rows = {row["name"]: row["calls"] for row in result.json()["syscalls"]}
    assert rows["getppid"] >= 42
    assert rows["execve"] >= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_straced_reach_the_command(start: Starter, number: signal.Signals) -> None:
    process = popen_straced("run", *STRACE, "--", "sleep", "60")
    until(lambda: [pid for pid in proc.descendants(process.pid) if proc.comm(pid) == "sleep"], 10, "sleep runs")
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 128 + number, err
    assert b"sleep 60: " in err, "the report comes all the same"


def test_ctrl_c_on_a_terminal_ends_the_command_and_the_report_comes(start: Starter) -> None:
    shown, status = on_a_terminal(["run", *STRACE, "--", "sleep", "60"], b"\x03")
    assert status == 130
    assert b"sleep 60: " in shown
    assert b"Traceback" not in shown


def test_ctrl_c_that_the_command_handles_is_its_own_business(start: Starter) -> None:
    script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done"
    shown, status = on_a_terminal(["run", *STRACE, "--", "sh", "-c", script], b"\x03", wait_for=b"up")
    assert status == 5
    assert b"caught" in shown


def test_the_command_has_the_terminal(start: Starter) -> None:
    shown, status = on_a_terminal(["run", *STRACE, "--", "sh", "-c", "test -t 0 && test -t 1 && echo both; tty"], b"")
    assert status == 0
    assert b"both" in shown
    assert b"/dev/pts/" in shown


def on_a_terminal(words: list[str], key: bytes, wait_for: bytes = b"") -> tuple[bytes, int]:
    """Run straced as a shell's foreground job on a terminal of its own; type ``key`` once the command runs."""
    master, slave = os.openpty()
    process = popen_straced(*words, prefix=("setsid", "--ctty", "--wait"), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        until(lambda: words[words.index("--") + 1] in {proc.comm(pid) for pid in proc.descendants(process.pid)} or
              process.poll() is not None, 10, "the command runs")  # fmt: skip
        while wait_for not in shown:
            shown += os.read(master, 4096)
        os.write(master, key)
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        pass
    finally:
        os.close(master)
    return shown, process.wait(15)


def test_many_short_runs_leave_nothing(start: Starter) -> None:
    """The world after each run is looked at by the fixture; here the counts must not waver."""
    counts = set()
    for _ in range(4):
        rows = straced("run", *STRACE, "--json", "--", start.gt, "nforks", 2, 10).json()["syscalls"]
        counts.add(next(row["calls"] for row in rows if row["name"] == "getppid"))
    assert counts == {20}
