"""An interactive shell on a terminal of its own, for what job control does to a command line."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

from tests.support import proc
from tests.support.owner import environment
from tests.support.poll import until

SHELL = ("setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-i")
LIMIT_S = 20.0
WIDE = 1000
"""Columns of the terminal: what is waited for is not broken into lines, however long the names of folders are."""


class Shell:
    """A bash with job control; ``shown`` is all that its terminal showed."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        termios.tcsetwinsize(slave, (24, WIDE))
        environ = {**os.environ, **environment(), "NO_COLOR": "1", "TERM": "dumb", "PS1": "ready> ", "HISTFILE": ""}
        self.process = subprocess.Popen(SHELL, stdin=slave, stdout=slave, stderr=slave, env=environ)
        os.close(slave)
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> Self:
        self.expect("ready> ")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = [*proc.descendants(self.process.pid), self.process.pid]
        self.hang_up()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def hang_up(self) -> None:
        """Close the terminal."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def type(self, text: str) -> None:
        """Send keys."""
        os.write(self._master, text.encode())

    def run(self, *words: object) -> None:
        """Type a straced command line."""
        self.type(shlex.join([sys.executable, "-m", "straced", *map(str, words)]) + "\n")

    def expect(self, text: str) -> str:
        """Read until ``text`` is shown, after what was expected before; return what came until then."""
        deadline = time.monotonic() + LIMIT_S
        while (at := self.shown.find(text, self._seen)) < 0:
            assert time.monotonic() < deadline, f"never shown: {text!r}\n{self.shown[self._seen :]}"
            if select.select([self._master], [], [], 0.05)[0]:
                self.shown += os.read(self._master, 65536).decode("utf-8", "replace")
        passed = self.shown[self._seen : at]
        self._seen = at + len(text)
        return passed

    def job(self, comm: str) -> tuple[int, int]:
        """The pids of the straced that is the shell's child, and of its command, once both are there."""

        def find() -> tuple[int, int] | None:
            for run in proc.children(self.process.pid):
                for pid in proc.children(run):
                    if proc.comm(pid) == comm:
                        return run, pid
            return None

        found = until(find, LIMIT_S, f"{comm} runs")
        assert found is not None
        return found
