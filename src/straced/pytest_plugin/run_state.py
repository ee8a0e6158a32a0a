"""What one test run has: who counts, and the lock file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from straced.errors import StracedError
from straced.pytest_plugin import lock_file
from straced.text.units import count_of
from straced.tracers.ebpf.own_process import OwnCalls, OwnReading

COUNTS = "straced_counts"
"""The attribute of a report that tells what the test called."""


class CountingWays(NamedTuple):
    """Who may count, by what was asked for."""

    here: bool
    """eBPF, in this process."""
    in_a_copy: bool
    """strace, in a copy of it."""


WAYS = {"auto": CountingWays(True, True), "ebpf": CountingWays(True, False), "strace": CountingWays(False, True)}


class OwnReader:
    """A reader by eBPF."""

    def __init__(self) -> None:
        self._process = OwnCalls()
        self.close = self._process.close
        self._full = 0

    def read(self) -> OwnReading:
        """The counters now."""
        self._reading = self._process.read()
        return self._reading

    def doubt(self) -> str:
        """What was lost."""
        full, self._full = self._reading.lost - self._full, self._reading.lost
        return self._process.lost() or (
            f"{count_of(full, 'call')} found no room in the kernel's memory" if full else ""
        )


class RunState:
    """Belongs to one pytest configuration; loads nothing before the first test that is counted."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ways = WAYS[config.getoption("syscalls_tracer")]
        self._reader: OwnReader | None = None
        self._refusal = ""
        self.recorded: lock_file.Recorded | None = None
        """What the lock file allows, where it is checked."""

    def begin(self) -> None:
        """Read the lock file, or get ready to write it, as the options have it.

        Raises:
            pytest.UsageError: both are asked for, or the file cannot be read.
        """
        record, check = self._config.getoption("syscalls_record"), self._config.getoption("syscalls_check")
        if record and check:
            raise pytest.UsageError("--syscalls-record and --syscalls-check: give one of them")
        directory = self._config.invocation_params.dir
        if check:
            try:
                self.recorded = lock_file.load(directory / check)
            except StracedError as error:
                raise pytest.UsageError(f"--syscalls-check {error.reason}; {error.hint}") from error
        elif not hasattr(self._config, "workerinput"):
            self._config.pluginmanager.register(LockWriter(directory / record))

    def reader(self) -> OwnReader | None:
        """The reader of this process; ``None`` where eBPF cannot serve, or is not wanted."""
        if self._reader is None and not self._refusal and self._ways.here:
            try:
                self._reader = OwnReader()
            except StracedError as error:
                self._refusal = f"eBPF: {error.reason.removeprefix('eBPF ')}"
        return self._reader

    @property
    def may_fork(self) -> bool:
        """Whether strace may count in place of eBPF."""
        return self._ways.in_a_copy

    def refused(self, by_strace: str = "") -> str:
        """Why nobody can count here."""
        reasons = [self._refusal, f"strace: {by_strace}" if by_strace else ""]
        return f"system calls cannot be counted here: {'; '.join(filter(None, reasons))}"

    def close(self) -> None:
        """Let go of this process."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class LockWriter:
    """Gathers what the tests called, from all workers, and writes the lock file at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: lock_file.Recorded = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note what a test called that passed."""
        counts = getattr(report, COUNTS, None)
        if counts is not None and report.when == "call" and report.passed:
            self._found[report.nodeid] = dict(counts)

    def pytest_sessionfinish(self) -> None:
        """Replace the sections of the tests that ran, and leave those of the others."""
        if not self._found:
            return
        try:
            before = lock_file.load(self._path) if self._path.exists() else {}
            lock_file.save(self._path, before | self._found)
        except StracedError as error:
            raise pytest.UsageError(f"--syscalls-record: {error.reason}") from error

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say so."""
        count = len(self._found)
        terminalreporter.write_line(f"straced: {count_of(count, 'test')} recorded in {self._path}")
