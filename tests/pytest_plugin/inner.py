"""Runs of pytest with the plugin, each in a process and a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.support.owner import NOBODY, environment, python_of_nobody

LIMIT_S = 120


class InnerRun(NamedTuple):
    """What a run left."""

    status: int
    text: str
    outcomes: dict[str, str]
    """``passed``, ``failed``, ``skipped`` or ``error`` by the name of the test."""
    messages: dict[str, str]
    """What was said of those that did not pass."""

    @property
    def passed(self) -> list[str]:
        """The names of the tests that passed, sorted."""
        return sorted(name for name, outcome in self.outcomes.items() if outcome == "passed")


class InnerPytest:
    """Runs tests in a directory that every user can read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, source: str, name: str = "test_inner.py") -> None:
        """Add a file of tests."""
        (self.directory / name).write_text(textwrap.dedent(source))

    def run(self, *options: str, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None) -> InnerRun:
        """Run all tests of the directory."""
        python = python_of_nobody() if prefix == NOBODY else sys.executable
        report = self.directory / "tmp" / "report.xml"
        words = ["-m", "pytest", "-p", "straced.pytest_plugin", "-p", "no:cacheprovider", f"--junitxml={report}", "-q"]
        own = {"TMPDIR": str(self.directory / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # others' take a second
        environ = {**os.environ, **environment(), **own, **(env or {})}
        done = subprocess.run(
            [*prefix, python, *words, *options],
            cwd=self.directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        outcomes, messages = {}, {}
        if report.exists():
            for case in ElementTree.parse(report).iter("testcase"):
                name = case.get("name", "")
                found = next(iter(each for each in case if each.tag in ("failure", "skipped", "error")), None)
                tag = "passed" if found is None else found.tag
                outcomes[name] = "failed" if tag == "failure" else tag
                messages[name] = "" if found is None else found.get("message", "") + (found.text or "")
            report.unlink()
        return InnerRun(done.returncode, done.stdout + done.stderr, outcomes, messages)


@pytest.fixture
def inner() -> Iterator[InnerPytest]:
    """A place for a run of pytest."""
    with tempfile.TemporaryDirectory(prefix="straced-inner-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "tmp").mkdir()
        (directory / "tmp").chmod(0o1777)
        yield InnerPytest(directory)
