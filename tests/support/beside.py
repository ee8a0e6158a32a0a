"""Tests that look at no clock run in a second pytest, on the CPU time that the tests which wait leave idle.

The runner of the whole suite starts it, keeps those tests for the end, and takes over what was reported of each: its
failures, skips and totals are those of the one run. What it did not report, the runner runs itself.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.aside import Aside
from tests.support.world import BELOW, WORLD

TESTS = Path(__file__).parents[1]
MODULES = (
    "house", "model", "syscalls", "text", "views",
    "commands/test_help.py", "docs/test_pages.py", "linux/test_output_file.py", "tracers/ebpf/test_builds.py",
    "tracers/strace/test_summary_table.py", "waits/test_why_parsers.py",
    *(f"records/test_{name}.py" for name in ("files", "slow_calls", "text_lines", "text_names")),
    *(f"store/test_{name}.py" for name in ("fleet", "gaps", "hourly_export")),
    *(f"traces/test_{name}.py" for name in (
        "bad_input", "call_findings", "closeup", "count_table", "damage", "decoded_calls", "diff", "diff_times",
        "export", "forms", "independent_count", "lines", "log_forms", "native", "progress", "read_ahead",
        "real_traces", "restarts", "slowest_calls", "terminal", "tree", "truth",
    )),
)  # fmt: skip
"""What they start, they wait for to its end; no service, no eBPF, nothing that is attached to or counts the machine."""
REPORTS = "STRACED_TEST_REPORTS"
TELLER = "straced-teller"
PACE = "10"
SILENCE_S = 900.0
"""When it has reported nothing for so long, though the CPUs were its own, it is ended."""
STARTED = pytest.StashKey["Beside"]()


class Beside:
    """The second run, and what it said of each test."""

    def __init__(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        self._config = config
        self._folder = tempfile.TemporaryDirectory(prefix="straced-beside-")
        self._told = Path(self._folder.name, "reports")
        self._told.touch()
        self._read_up_to = 0
        self._waited = False
        self._reports: dict[str, list[dict[str, Any]]] = {item.nodeid: [] for item in items}
        self.missed: list[str] = []
        self.said = ""
        files = dict.fromkeys(str(item.path) for item in items)
        argv = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={config.rootpath}",
            f"--basetemp={self._folder.name}/tmp",
            *(["-c", str(config.inipath)] if config.inipath else []), *files,
        ]  # fmt: skip
        env = {REPORTS: str(self._told), "STRACED_TEST_PACE": PACE, BELOW: WORLD.aside()}
        self._job = Aside(argv, Path(self._folder.name, "out"), env, WORLD.step_back)

    def has(self, item: pytest.Item) -> bool:
        """Whether it runs this test."""
        return item.nodeid in self._reports

    def wait(self, item: pytest.Item) -> None:
        """Until it has reported all of a test, or ended."""
        if not self._waited:
            WORLD.step_forward()
            self._waited = True
        last = time.monotonic()
        while not self._has_all(item):
            ended = self._job.ended()
            if self._take():
                last = time.monotonic()
            elif ended:
                self.missed.append(item.nodeid)
                return
            elif time.monotonic() - last > SILENCE_S:
                self._job.end()
            else:
                time.sleep(0.02)

    def reports(self, item: pytest.Item) -> list[pytest.TestReport]:
        """All of a test; none when there are not all."""
        said = self._reports[item.nodeid] if self._has_all(item) else []
        return [self._config.hook.pytest_report_from_serializable(config=self._config, data=each) for each in said]

    def end(self) -> None:
        """End it, wherever it is."""
        self._job.end()
        self.said = self._job.said()
        self._folder.cleanup()

    def _has_all(self, item: pytest.Item) -> bool:
        said = self._reports[item.nodeid]
        return bool(said) and said[-1]["when"] == "teardown"

    def _take(self) -> bool:
        """Read what was reported since; whether there was something."""
        with self._told.open("rb") as file:
            file.seek(self._read_up_to)
            whole = file.read().rpartition(b"\n")[0]
        for line in whole.splitlines():
            each = json.loads(line)
            if isinstance(each["longrepr"], list):  # where a test was skipped: pytest keeps a tuple
                each["longrepr"] = tuple(each["longrepr"])
            self._reports.setdefault(each["nodeid"], []).append(each)
        self._read_up_to += len(whole) + bool(whole)
        return bool(whole)


class Teller:
    """In the second run: writes down each report."""

    def __init__(self, config: pytest.Config, path: str) -> None:
        self._config = config
        self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 (as long as the run)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if path := os.environ.pop(REPORTS, None):  # a pytest that a test starts is none of this
        config.pluginmanager.register(Teller(config, path), TELLER)


def wanted(config: pytest.Config) -> bool:
    """Whether this is the run of the whole suite, and cgroups keep the worlds of both apart."""
    option = config.option
    some = option.keyword or option.markexpr or option.deselect or getattr(option, "lf", False)
    other = (
        config.pluginmanager.has_plugin(TELLER) or option.collectonly or option.usepdb or hasattr(config, "workerinput")
    )
    whole = [Path(config.invocation_params.dir, each).resolve() for each in config.args] == [TESTS]
    return whole and bool(WORLD.cgroup) and not (some or other)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the second run has done by then comes last."""
    apart = [item for item in items if any(item.path.is_relative_to(TESTS / each) for each in MODULES)]
    if apart and wanted(config):
        config.stash[STARTED] = Beside(config, apart)
        items[:] = [item for item in items if not config.stash[STARTED].has(item)] + apart


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Outside of the limit of the test, which the second run keeps."""
    beside = item.config.stash.get(STARTED, None)
    if beside is not None and beside.has(item):
        beside.wait(item)
    return (yield)


@pytest.hookimpl(specname="pytest_runtest_protocol")
def pytest_take_over(item: pytest.Item) -> bool | None:
    """Report what was reported of it there."""
    beside = item.config.stash.get(STARTED, None)
    reports = beside.reports(item) if beside is not None and beside.has(item) else []
    if not reports:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if beside := session.config.stash.get(STARTED, None):
        beside.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """When the second run ended before its time, and there is no other trace of it: say so."""
    beside = config.stash.get(STARTED, None)
    if beside is not None and beside.missed:
        terminalreporter.section("the second run")
        terminalreporter.line(f"It ended early; {len(beside.missed)} of its tests ran here, from {beside.missed[0]}:")
        terminalreporter.line(beside.said)
