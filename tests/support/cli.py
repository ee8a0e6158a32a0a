"""Run the command line as a user would, with a time limit, and keep what it said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.owner import NOBODY, environment, python_of_nobody
from tests.support.pace import PACE

STRACED = [sys.executable, "-m", "straced"]


class Result(NamedTuple):
    """What a run left."""

    status: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout, or on stderr where stdout belongs to the command."""
        text = self.out if self.out.lstrip().startswith("{") else self.err
        found: dict[str, Any] = json.loads(text[text.index("{") :])
        return found

    def assert_clear_error(self, status: int) -> None:
        """One error of at most three lines, no traceback, the exit status asked for."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert self.status == status, (self.status, self.err)
        assert 1 <= len(lines) <= 3, self.err
        assert "Traceback" not in self.err


def straced(*words: object, seconds: float = 30.0, env: dict[str, str] | None = None, prefix: Sequence[str] = (),
            stdin: int = subprocess.DEVNULL, **popen: Any) -> Result:  # fmt: skip
    """Run ``straced WORDS`` to its end."""
    process = popen_straced(*words, env=env, prefix=prefix, stdin=stdin, **popen)
    seconds *= PACE
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        raise AssertionError(f"straced {words} did not end within {seconds} s\n{out!r}\n{err!r}") from None
    return Result(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def popen_straced(*words: object, env: dict[str, str] | None = None, prefix: Sequence[str] = (),
                  **popen: Any) -> subprocess.Popen[bytes]:  # fmt: skip
    """Start ``straced WORDS`` with both outputs in pipes, unless told otherwise."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    environ = {**os.environ, **environment(), "NO_COLOR": "1", **(env or {})}
    python = python_of_nobody() if tuple(prefix) == NOBODY else sys.executable
    return subprocess.Popen([*prefix, python, *STRACED[1:], *map(str, words)], env=environ, **options)
