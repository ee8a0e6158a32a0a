"""A time limit for every test: soft (the test fails, with all stacks), then hard (the run is killed, the test named).

A traced test can freeze its own runner, so the hard limit is kept by a process in a session of its own.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

import pytest

from tests.support.pace import PACE
from tests.support.world import WORLD

DEFAULT_SECONDS = float(os.environ.get("STRACED_TEST_SECONDS", "60")) * PACE
"""For a test without a mark; an emulator needs longer to compile the workloads."""
GRACE_SECONDS = float(os.environ.get("STRACED_TEST_GRACE", "25")) * PACE
"""From the soft limit to the hard one."""


class Limits:
    """The plugin object: it owns the watchdog and the alarm."""

    def __init__(self, config: pytest.Config) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            with capture.global_and_fixture_disabled():
                self.stderr = os.dup(2)
        else:
            self.stderr = os.dup(2)
        os.set_inheritable(self.stderr, False)
        self.seconds = DEFAULT_SECONDS
        self.in_phase = False
        cgroups = filter(None, (WORLD.make_cgroup(), WORLD.idle))
        self.watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")), str(os.getpid()),
             WORLD.marker, *cgroups],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.stderr, start_new_session=True, env={},
        )  # fmt: skip
        WORLD.enter(self.watchdog.pid)
        signal.signal(signal.SIGALRM, self._alarm)

    def tell(self, line: str) -> None:
        pipe: IO[bytes] | None = self.watchdog.stdin
        assert pipe is not None
        try:
            pipe.write(line.encode("utf-8", "replace") + b"\n")
            pipe.flush()
        except BrokenPipeError:
            pass

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        if self.in_phase:
            faulthandler.dump_traceback(file=self.stderr, all_threads=True)
            pytest.fail(f"over its limit of {self.seconds:.0f} s")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        mark = item.get_closest_marker("limit")
        self.seconds = float(mark.args[0]) * PACE if mark else DEFAULT_SECONDS
        self.tell(f"start {self.seconds + GRACE_SECONDS} {item.nodeid}")
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 5.0)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.tell("stop")

    def _phase(self) -> Iterator[None]:
        self.in_phase = True
        try:
            return (yield)
        finally:
            self.in_phase = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._phase())

    def pytest_unconfigure(self) -> None:
        self.tell("bye")
        assert self.watchdog.stdin is not None
        self.watchdog.stdin.close()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and start the watchdog."""
    config.addinivalue_line("markers", "limit(seconds): fail the test after this many seconds (default 60)")
    if not config.option.collectonly:
        config.pluginmanager.register(Limits(config), "straced-limits")
