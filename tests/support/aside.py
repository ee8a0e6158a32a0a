"""A long job beside the tests: it starts with the session, a test judges it at the end; it is in no test's world."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.world import MARKER, WORLD


class Aside:
    """A process in a session and a cgroup of its own, which ends with the run, however that ends."""

    def __init__(
        self, argv: Sequence[str], out: Path, env: Mapping[str, str] | None = None,
        step: Callable[[], None] = WORLD.step_aside,
    ) -> None:  # fmt: skip
        self.out = out
        self._err = out.with_suffix(".err")
        environ = {key: value for key, value in os.environ.items() if key != MARKER} | {**(env or {})}
        with out.open("wb") as stdout, self._err.open("wb") as stderr:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ, start_new_session=True,
                preexec_fn=step,
            )  # fmt: skip
        WORLD.own.add(self._process.pid)

    def result(self, seconds: float) -> str:
        """Wait for its end and return what it wrote; its errors are those of the test."""
        status = self._process.wait(seconds)
        assert status == 0, self._err.read_text()
        return self.out.read_text()

    def ended(self) -> bool:
        """Whether it has ended, be it by itself."""
        return self._process.poll() is not None

    def said(self) -> str:
        """The end of all that it wrote."""
        return "".join(path.read_text(errors="replace")[-4000:] for path in (self.out, self._err))

    def end(self) -> None:
        """Kill it and what it has started, unless it has ended."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
