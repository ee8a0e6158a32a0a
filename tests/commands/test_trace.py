"""``straced trace``: every call, into a file or a pipe; a bad target fails at once.

Of `commands/trace.py`, `workflows/trace.py` and `tracers/strace/free_space.py`.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.cli import popen_straced, straced
from tests.support.poll import until
from tests.support.process_states import zombie
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
LINE = re.compile(r"(?m)^(?:\d+ +)?\d{10}\.\d{6}(?:\d{3})? getppid\(\) += \d+ <\d+\.\d+>$")


def test_to_stdout_until_the_target_ends(start: Starter) -> None:
    target = start("n", 250)
    process = popen_straced("trace", "--tracer", "strace", target.pid)
    until(target.held, 20, "it attaches")
    target.finish()
    target.let_end()
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert len(LINE.findall(out.decode())) == 250
    assert b"exit_group(0)" in out


def test_into_a_file_until_ctrl_c(start: Starter, tmp_path: Path) -> None:
    target = start("n", 120)
    process = popen_straced("trace", "--tracer", "strace", target.pid, "-o", tmp_path / "trace")
    until(target.held, 20, "it attaches")
    target.finish()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (0, b""), err
    assert len(LINE.findall((tmp_path / "trace").read_text())) == 120
    assert target.untraced()


def test_top_trace_is_the_same(start: Starter, tmp_path: Path) -> None:
    target = start("n", 30)
    process = popen_straced("top", "--trace", target.pid, "-o", tmp_path / "trace")
    until((tmp_path / "trace").exists, 10, "it attaches")
    target.finish()
    target.let_end()
    process.communicate(timeout=15)
    assert process.returncode == 0
    assert len(LINE.findall((tmp_path / "trace").read_text())) == 30


def test_a_bad_pid_fails_within_a_second(start: Starter) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    straced("trace", gone.pid)  # once, so that what follows measures no cold start
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited = time.monotonic()
    result = straced("trace", gone.pid)
    waited = time.monotonic() - waited
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 1.0, "a second of its own, however busy the machine is"
    assert waited < 1.0 + 10 * used, "nothing is waited for"
    result.assert_clear_error(3)


@pytest.mark.parametrize("verb", ["trace", "attach"])
def test_a_zombie_has_one_status(verb: str) -> None:
    """Each tracer says the same of it, and that is what is said."""
    with zombie() as pid:
        done = straced(verb, pid, "-d", "1")
    done.assert_clear_error(3)
    assert "zombie" in done.err or "waits for its parent" in done.err
    assert "eBPF:" not in done.err


def test_hints_of_the_verb_at_hand(start: Starter) -> None:
    target = start("n", 1)
    first = popen_straced("trace", "--tracer", "strace", target.pid)
    until(target.held, 20, "it attaches")
    done = straced("trace", "--tracer", "strace", target.pid)
    done.assert_clear_error(4)
    assert f"straced attach {target.pid}" in done.err
    assert "--tracer" not in done.err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=15)


@pytest.mark.parametrize(
    ("words", "seen", "unseen"),
    [
        (["-e", "write"], "write(", "read("),
        (["-e", "trace=read"], "read(", "write("),
        (["-e", "%file"], "", "write("),
        (["-P", "/dev/null"], "write(", "read("),
    ],
)
def test_filters(start: Starter, words: list[str], seen: str, unseen: str) -> None:
    target = start("io", 20)
    process = popen_straced("trace", "--tracer", "strace", target.pid, *words)
    until(target.held, 20, "it attaches")
    target.finish()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert seen.encode() in out
    assert unseen.encode() not in out


def test_failed_calls_only(start: Starter) -> None:
    target = start("errs", 25)
    process = popen_straced("trace", "--tracer", "strace", target.pid, "-Z")
    until(target.held, 20, "it attaches")
    target.finish()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=15)
    assert out.count(b"ENOENT") == 25
    assert b"sendto(" not in out


def test_a_line_longer_than_a_pipe(start: Starter) -> None:
    target = start("bigwrite", 150_000)
    process = popen_straced("trace", "--tracer", "strace", target.pid, "-s", "200000")
    until(target.held, 20, "it attaches")
    target.finish()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    (line,) = [line for line in out.splitlines() if b" write(" in line]
    assert line.count(b"x") >= 150_000
    assert b"= 150000" in line


def test_at_most_so_many_bytes(start: Starter, tmp_path: Path) -> None:
    target = start("spin")
    result = straced("trace", "--tracer", "strace", target.pid, "-o", tmp_path / "trace", "--max-bytes", "200kB")
    assert result.status == 0
    assert 100_000 < (tmp_path / "trace").stat().st_size < 800_000
    assert target.untraced()
    assert target.runs()


def test_nothing_is_left_when_straced_is_killed(start: Starter, tmp_path: Path) -> None:
    for words in (["-o", str(tmp_path / "trace")], []):
        target = start("spin")
        process = popen_straced("trace", "--tracer", "strace", target.pid, *words, stdout=subprocess.DEVNULL)
        until(lambda target=target: not target.untraced(), 10, "it attaches")  # type: ignore[misc]
        helper = proc.tracer(target.pid)
        process.kill()
        process.communicate()
        until(lambda helper=helper: not proc.alive(helper), 3, "no tracer is left")  # type: ignore[misc]
        assert target.untraced()
        assert target.runs()
        target.kill()
