"""Keys that a terminal delivers one by one: before it has shown the question, they are no answer to it.

Of `views/tui/reaction.py`. The test is the terminal here, so that it decides what comes when, at any distance.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.top.test_terminal import LIMIT_S, TOP
from tests.commands.top.test_terminal_keys import named
from tests.support.poll import until

ASKED = b"\x1b[6n"
REPORT = b"\x1b[1;1R"
COLOURS = re.compile(rb"\x1b\[[\d;]*m")


class Line:
    """A terminal that says where its cursor is only when the test has it do so."""

    def __init__(self, fd: int, pid: int) -> None:
        self._fd = fd
        self.pid = pid
        """Of the program on it."""
        self._shown = b""

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def until(self, words: bytes) -> None:
        """Until this is shown; what came up to it is forgotten."""

        def found() -> bool:
            while words not in self._shown and select.select([self._fd], [], [], 0)[0]:
                self._shown = COLOURS.sub(b"", self._shown + os.read(self._fd, 65536))
            return words in self._shown

        until(found, LIMIT_S, lambda: f"{words!r} in {self._shown[-3000:]!r}")
        self._shown = self._shown.partition(words)[2]


@contextmanager
def top_of(victim: subprocess.Popen[bytes], command: Sequence[str] = TOP) -> Iterator[Line]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    words = [*command, "--tracer", "none", str(victim.pid)]
    program = subprocess.Popen(
        words, stdin=its, stdout=its, stderr=its, start_new_session=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(its)
    line = Line(ours, program.pid)
    try:
        line.until(f"{victim.pid} ".encode())
        yield line
        line.write(b"\x03q")
        line.until(b"\x1b[?1049l")
        assert program.wait(LIMIT_S) == 0
    finally:
        program.kill()
        program.wait()
        os.close(ours)


@pytest.mark.parametrize(("keys", "pause_s"), [(b"yy\r\r", 0.003), (b"SIGTERM\r", 0.03)])
def test_a_signal_byte_by_byte_is_not_sent(tmp_path: Path, keys: bytes, pause_s: float) -> None:
    with named(tmp_path, "victim-one") as (victim,), top_of(victim) as line:
        line.write(b"x")
        line.until(ASKED)  # the question is on its way to the terminal
        for byte in keys:
            time.sleep(pause_s)
            line.write(bytes([byte]))
        line.write(REPORT)
        line.until(b"y sends SIGTERM")
        assert victim.poll() is None
        line.write(b"\x1b[B")
        line.until(b"y sends SIGINT")
        assert victim.poll() is None
        line.write(b"y")  # in sight of the question
        assert victim.wait(LIMIT_S) == -2


def test_a_terminal_that_never_reports_can_be_answered_too(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom straced.views.tui import reaction\nreaction.REPORT_S = 0.5\n"
        "from straced.commands import main\nsys.exit(main())"
    )
    with named(tmp_path, "victim-one") as (victim,), top_of(victim, [sys.executable, "-c", code, "top"]) as line:
        line.write(b"x")
        line.until(b"y sends SIGTERM")
        line.write(b"y")
        assert victim.wait(LIMIT_S) == -15
