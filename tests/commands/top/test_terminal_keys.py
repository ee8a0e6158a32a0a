"""Keys as a terminal sends them: several in one write, and to processes that are no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.top.test_terminal import TOP, Terminal, terminal
from tests.support.needs import require

SIZES = [(80, 24), (120, 40)]
REPLACED = """
import subprocess, sys, threading
from pathlib import Path
PID = 3000
def run_as(pid):
    while True:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "300"])
        if process.pid == pid:
            return process
        process.kill(); process.wait()
def replace():
    global victim
    open(sys.argv[1]).read()
    victim.kill(); victim.wait()
    victim = run_as(PID)
    open(sys.argv[2], "w").close()
victim = run_as(PID)
threading.Thread(target=replace, daemon=True).start()
subprocess.run([sys.executable, "-m", "straced", "top", "--tracer", "none", str(PID)])
print("who has the pid now:", victim.poll())
victim.kill()
"""


@contextmanager
def named(folder: Path, *names: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that sleep under these names."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    processes = []
    try:
        for name in names:
            shutil.copy(sleep, folder / name)
            processes.append(subprocess.Popen([folder / name, "300"]))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def write(screen: Terminal, text: str, *, bracketed: bool = False) -> None:
    """Hand a text to the program in one write, as a paste or a slow line does; a newline is Enter."""
    screen.tmux("set-buffer", text)
    screen.tmux("paste-buffer", *(["-p"] if bracketed else []), "-t", "t")


@pytest.mark.parametrize("size", SIZES)
def test_a_filter_in_one_write_is_a_filter(tmp_path: Path, size: tuple[int, int]) -> None:
    with (
        named(tmp_path, "xy-nginx", "other-one") as (wanted, other),
        terminal(tmp_path, [*TOP, "--tracer", "none", str(wanted.pid), str(other.pid)], size) as screen,
    ):
        screen.until(lambda text: f"{wanted.pid} S" in text and f"{other.pid} S" in text, "both")
        write(screen, "/xy-nginx\n")
        shown = screen.until(lambda text: 'filter "xy-nginx"' in text, "the filter")
        assert "╭" not in shown
        screen.press("x")
        shown = screen.until(lambda text: "Send a signal" in text and "y sends SIGTERM" in text, "the question")
        assert f"Send a signal to {wanted.pid} (xy-nginx)?" in shown
        assert f"{tmp_path}/xy-nginx"[:60] in shown
        screen.press("y")
        assert wanted.wait(30) == -15
        assert other.poll() is None
        screen.press("q")
        screen.until(lambda text: "status 0" in text, "the end")


@pytest.mark.parametrize("text", ["xy", "x\n", "xSIGTERM\n", "xy\n\n"])
def test_a_signal_in_one_write_is_not_sent(tmp_path: Path, text: str) -> None:
    with (
        named(tmp_path, "victim-one") as (victim,),
        terminal(tmp_path, [*TOP, "--tracer", "none", str(victim.pid)], (80, 24)) as screen,
    ):
        screen.until(lambda shown: f"{victim.pid} S" in shown, "the process")
        write(screen, text)
        screen.until(
            lambda shown: f"Send a signal to {victim.pid}" in shown and "y sends SIGTERM" in shown, "the question"
        )
        write(screen, "y", bracketed=True)
        screen.press("Down")  # behind all of it
        screen.until(lambda shown: "y sends SIGINT" in shown, "the question, still")
        assert victim.poll() is None
        screen.press("C-c")
        screen.until(lambda shown: "Send a signal" not in shown, "the list")
        screen.press("q")
        screen.until(lambda shown: "status 0" in shown, "the end")
        assert victim.poll() is None


def test_who_got_the_pid_gets_no_signal(tmp_path: Path) -> None:
    """The screen is paused and shows the old process; another has its pid when the signal is confirmed."""
    require("root")
    require("pidns")
    told, done = tmp_path / "told", tmp_path / "done"
    subprocess.run(["mkfifo", told], check=True)
    space = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*space, sys.executable, "-c", REPLACED, str(told), str(done)]
    with terminal(tmp_path, command, (80, 24)) as screen:
        screen.until(lambda text: "3000 S" in text, "the process")
        screen.press("p")
        screen.until(lambda text: "PAUSED" in text, "a picture that stays")
        screen.press("x")
        screen.until(
            lambda text: "Send a signal to 3000 (sleep)" in text and "y sends SIGTERM to 3000" in text, "the question"
        )
        told.write_text("now")
        screen.until(lambda _: done.exists(), "another process")
        screen.press("y")
        screen.until(lambda text: "3000 has ended" in text, "that nothing was sent")
        screen.press("q")
        screen.until(lambda text: "who has the pid now: None" in text, "that it is well")
