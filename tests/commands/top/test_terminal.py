"""The command itself: in a real terminal (tmux), where there is none, and as text and JSON.

Of `commands/top.py`, `live/frame_stream.py` and `live/worker.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from straced.linux import procfs
from tests.live.processes import Worker, workload
from tests.support.needs import require
from tests.support.poll import until

TOP = [sys.executable, "-m", "straced", "top"]
LIMIT_S = 30.0


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command without a terminal."""
    return subprocess.run(
        [*TOP, *words],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


class Terminal:
    """A terminal of its own, by tmux."""

    def __init__(self, socket: Path) -> None:
        self._base = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def tmux(self, *words: str) -> str:
        return subprocess.run([*self._base, *words], capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", "t")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "t", *keys)

    def until(self, condition: Callable[[str], object], what: str) -> str:
        shown: list[str] = []

        def found() -> bool:
            shown[:] = [self.screen()]
            return bool(condition(shown[0]))

        until(found, LIMIT_S, lambda: f"{what}\n{self.screen()}", pause_s=0.05)
        return shown[0]


@contextlib.contextmanager
def terminal(
    folder: Path, command: list[str], size: tuple[int, int] = (100, 30), **environment: str
) -> Iterator[Terminal]:
    """A shell in a terminal that runs ``command`` and then says its status and its settings."""
    require("tmux")
    made = Terminal(folder / "tmux")
    sets = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    line = f"stty -a | cksum; env {sets} {shlex.join(command)}; echo status $?; stty -a | cksum; exec cat"
    size_words = ["-x", str(size[0]), "-y", str(size[1])]
    made.tmux("new-session", "-d", *size_words, "-s", "t", "-c", str(Path.cwd()), "sh", "-c", line)
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            made.tmux("kill-server")


def figures(shown: str, worker: Worker) -> list[str]:
    """The words of the line of a process."""
    lines = (line.lstrip("▸ ").split() for line in shown.splitlines())
    return next((words for words in lines if words[:1] == [str(worker.pid)]), [])


def number(word: str) -> float:
    return float(word.replace(",", ""))


@pytest.mark.parametrize(("batches", "calls", "errors"), [(20, 10, 1), (50, 40, 3)])
def test_the_figures_on_the_screen_are_the_truth(tmp_path: Path, batches: int, calls: int, errors: int) -> None:
    require("ebpf")
    with (
        workload(tmp_path, batches=batches, calls=calls, errors=errors) as worker,
        terminal(tmp_path, [*TOP, str(worker.pid)]) as screen,
    ):
        expected = batches * (calls + errors + 1)

        def close(shown: str) -> bool:
            words = figures(shown, worker)
            return len(words) > 5 and words[4] != "-" and abs(number(words[4]) - expected) < 0.1 * expected

        def close_too(shown: str) -> bool:
            lines = (line.lstrip("▸ ").split() for line in shown.splitlines())
            line = next((words for words in lines if words[:1] == ["getppid"]), [])  # the table is before the bars
            return (
                "ENOENT" in shown
                and line[1:2] not in ([], ["-"])
                and abs(number(line[1]) - batches * calls) < 0.1 * batches * calls
            )

        shown = screen.until(close, f"{expected} calls a second")
        words = figures(shown, worker)
        assert number(words[5]) == pytest.approx(batches * errors, rel=0.15)
        assert "exact · eBPF · 0 lost" in shown
        screen.press("Enter")
        screen.until(close_too, f"{batches * calls} getppid a second, of a whole tick")
        screen.press("2")
        screen.until(lambda text: "select" in text and str(worker.pid) in text, "the thread")
        screen.press("3")
        screen.until(lambda text: f"127.0.0.1:{worker.port} listen" in text, "the socket")
        screen.press("q")
        screen.until(lambda text: "status 0" in text, "the end")


def test_the_terminal_is_as_it_was_afterwards(tmp_path: Path) -> None:
    with (
        workload(tmp_path) as worker,
        terminal(tmp_path, [*TOP, "--tracer", "none", str(worker.pid)], (80, 24)) as screen,
    ):
        screen.until(lambda text: str(worker.pid) in text, "the process")
        worker.process.kill()
        worker.process.wait()
        screen.until(lambda text: "ENDED" in text, "its end")
        screen.press("x")
        screen.until(lambda text: "has ended" in text, "that it cannot be signalled")
        screen.press("q")
        shown = screen.until(
            lambda text: text.count("\n\n") and len(re.findall(r"^\d+ \d+$", text, re.M)) == 2, "the shell"
        )
        assert "status 0" in shown
        assert len(set(re.findall(r"^\d+ \d+$", shown, re.M))) == 1
        assert screen.tmux("display", "-p", "-t", "t", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}") == "0 1 0\n"


def test_a_signal_from_the_keyboard_reaches_the_process(tmp_path: Path) -> None:
    with (
        workload(tmp_path) as worker,
        terminal(tmp_path, [*TOP, "--tracer", "none", str(worker.pid)], (80, 24)) as screen,
    ):
        screen.until(lambda text: str(worker.pid) in text, "the process")
        screen.press("x")
        shown = screen.until(lambda text: "Send a signal" in text and "y sends SIGTERM" in text, "the question")
        assert f"{worker.pid} ({procfs.stat(worker.pid).comm})" in shown
        screen.press("Enter")
        screen.until(lambda text: "Enter alone sends nothing" in text, "a word about that")
        assert worker.process.poll() is None
        screen.press("y")
        assert worker.process.wait(LIMIT_S) == -15
        screen.press("q")


def test_a_full_trace_from_the_keyboard(tmp_path: Path) -> None:
    require("strace")
    (tmp_path / "here").mkdir()
    with workload(tmp_path) as worker:
        inner = [*TOP, "--tracer", "none", str(worker.pid)]
        line = f"cd {shlex.quote(str(tmp_path / 'here'))} && exec {shlex.join(inner)}"
        with terminal(tmp_path, ["sh", "-c", line], (100, 30), PYTHONPATH=str(Path("src").absolute())) as screen:
            screen.until(lambda text: str(worker.pid) in text, "the process")
            screen.press("t")
            screen.until(lambda text: "slows it down a lot" in text and "Enter to start" in text, "the question")
            screen.press("Enter")
            screen.until(lambda text: f"TRACING {worker.pid}" in text, "the trace")
            screen.press("t")
            screen.until(lambda text: "finished" in text, "its end")
            screen.press("q")
            screen.until(lambda text: "status 0" in text, "the end")
    (file,) = (tmp_path / "here").iterdir()
    assert b"getppid()" in file.read_bytes()


@pytest.mark.parametrize("term", ["xterm-256color", "xterm", "screen", "vt100"])
def test_terminals_of_few_colours(tmp_path: Path, term: str) -> None:
    with workload(tmp_path) as worker:
        words = [*TOP, "--tracer", "none", str(worker.pid)]
        with terminal(tmp_path, words, (80, 24), TERM=term, COLORTERM="") as screen:
            screen.until(lambda text: str(worker.pid) in text, "the process")
            coloured = screen.tmux("capture-pane", "-e", "-p", "-t", "t")
            assert "\x1b[38;2;" not in coloured
            assert "\x1b[48;2;" not in coloured
            screen.press("q")
            screen.until(lambda text: "status 0" in text, "the end")


def test_no_color(tmp_path: Path) -> None:
    with (
        workload(tmp_path) as worker,
        terminal(tmp_path, [*TOP, "--tracer", "none", str(worker.pid)], (80, 24), NO_COLOR="1") as screen,
    ):
        screen.until(lambda text: str(worker.pid) in text, "the process")
        screen.press("x")
        screen.until(lambda text: "Send a signal" in text, "the question")
        coloured = screen.tmux("capture-pane", "-e", "-p", "-t", "t")
        for code in re.findall(r"\x1b\[([\d;]*)m", coloured):
            assert not any(30 <= int(word or 0) <= 48 and word not in ("39", "49") for word in code.split(";"))
        screen.press("Escape", "q")


def test_a_tiny_terminal_says_so(tmp_path: Path) -> None:
    with (
        workload(tmp_path) as worker,
        terminal(tmp_path, [*TOP, "--tracer", "none", str(worker.pid)], (20, 5)) as screen,
    ):
        screen.until(lambda text: "too small" in text.replace("\n", " "), "the word")
        screen.press("q")
        screen.until(lambda text: "status 0" in text, "the end")


def test_no_terminal() -> None:
    ended = run()
    assert ended.returncode == 2
    assert "needs a terminal" in ended.stderr
    assert "straced top --once" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 3
    assert ended.stdout == ""


def test_no_textual(tmp_path: Path) -> None:
    (tmp_path / "without.py").write_text(
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'textual' else found(name, *more)\n"
        "from straced.commands import main\n"
        "sys.exit(main(['top']))\n"
    )
    with terminal(tmp_path, [sys.executable, str(tmp_path / "without.py")]) as screen:
        shown = screen.until(lambda text: "status" in text, "the end")
        assert "needs Textual" in shown
        assert "pip install 'straced[tui]'" in shown
        assert "status 2" in shown
        assert "Traceback" not in shown


def test_a_process_of_another_user(tmp_path: Path) -> None:
    """Root without any capability looks at a process of nobody: the same as two users, and this Python can be read."""
    require("root")
    require("setpriv")
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "600"]
    process = subprocess.Popen(other)
    try:
        with terminal(tmp_path, ["setpriv", "--bounding-set=-all", *TOP, str(process.pid)], (110, 30)) as screen:
            shown = screen.until(
                lambda text: "Calls not counted" in text and "not available:" in text, "what is not seen"
            )
            assert "its files: not permitted" in shown
            words = next(line.lstrip("▸ ").split() for line in shown.splitlines() if line.startswith("▸"))
            assert words[:2] == [str(process.pid), "S"]
            screen.press("x")
            screen.until(lambda text: "y sends SIGTERM" in text and "user nobody (65534)" in text, "the question")
            screen.press("y")
            screen.until(lambda text: "another user's process" in text, "that it may not be signalled")
            screen.press("q")
            screen.until(lambda text: "status 0" in text, "the end")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_another_size_while_it_runs(tmp_path: Path) -> None:
    with (
        workload(tmp_path) as worker,
        terminal(tmp_path, [*TOP, "--tracer", "none", str(worker.pid)], (120, 40)) as screen,
    ):
        screen.until(lambda text: "1 call" in text and str(worker.pid) in text, "list and panel")
        for width, height, seen in (
            (80, 24, "q quit"), (20, 5, "too small"), (200, 50, "syscall"), (60, 12, "q quit"), (100, 30, "1 call"),
        ):  # fmt: skip
            screen.tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))
            size = f"{width}x{height}"
            shown = screen.until(lambda text, seen=seen: seen in text.replace("\n", " "), f"{seen} at {size}")
            assert len(shown.splitlines()) <= height
        screen.press("q")
        screen.until(lambda text: "status 0" in text, "the end")


def test_a_dumb_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, TOP, TERM="dumb") as screen:
        shown = screen.until(lambda text: "status" in text, "the end")
        assert "straced top --once" in shown
        assert "status 2" in shown


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["4194304"], 2), (["name:no-such-program"], 3), (["-i", "0"], 2), (["-i", "10ms"], 2), (["-o", "x"], 2),
        (["--sort", "colour"], 2), (["--once", "--tracer", "strace"], 2),
    ],
)  # fmt: skip
def test_bad_words(words: list[str], status: int) -> None:
    ended = run(*words, *([] if "--once" in words else ["--once"]))
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    assert 1 <= len(ended.stderr.splitlines()) <= 3


def test_once_is_text_and_needs_no_textual(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        code = (
            "import sys\n"
            "class No:\n"
            "    def find_spec(self, name, *_):\n"
            "        assert name.split('.')[0] != 'textual', name\n"
            "sys.meta_path.insert(0, No())\n"
            "from straced.commands import main\n"
            "sys.exit(main())\n"
        )
        for words in (["--once"], ["--once", "--json"]):
            argv = [sys.executable, "-c", code, "top", "--tracer", "none", "-i", "200ms", *words, str(worker.pid)]
            ended = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S)
            assert ended.returncode == 0, ended.stderr
            assert str(worker.pid) in ended.stdout
            assert "\x1b" not in ended.stdout


def test_json_is_a_frame_a_line_at_the_interval_that_was_asked_for(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        argv = [*TOP, "--json", "--tracer", "none", "-i", "300ms", str(worker.pid)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            found = [json.loads(process.stdout.readline()) for _ in range(4)]
        finally:
            process.terminate()
        assert process.wait(LIMIT_S) == 0
        process.stdout.close()
    assert {each["schema"] for each in found} == {"straced.top/1"}
    assert all(each["processes"][0]["calls_s"] is None for each in found)
    steps = [after["monotonic_ns"] - before["monotonic_ns"] for before, after in itertools.pairwise(found)]
    assert sum(steps) / len(steps) >= 0.95 * 300e6  # and more where the machine is busy


def test_the_json_of_a_counted_process_is_the_truth(tmp_path: Path) -> None:
    require("ebpf")
    with workload(tmp_path, batches=50, calls=20, errors=2) as worker:
        for _ in range(5):  # a busy machine lets the workload be late at times
            ended = run("--json", "--once", "-i", "2s", str(worker.pid))
            found = json.loads(ended.stdout)
            row = found["processes"][0]
            if row["calls_s"] == pytest.approx(50 * 23, rel=0.06):
                break
        assert row["calls_s"] == pytest.approx(50 * 23, rel=0.06)
        assert row["errors_s"] == pytest.approx(100, rel=0.06)
        assert found["quality"]["kind"] == "exact"
        assert found["duration_ns"] >= 1.99e9


def test_a_reader_that_leaves_ends_the_stream_quietly(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        line = f"{shlex.join(TOP)} --json --tracer none -i 100ms {worker.pid} | head -n 1"
        ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=LIMIT_S)
        assert json.loads(ended.stdout)["source"] == "local"
        assert ended.stderr == ""
