"""Traces and windows that are read while they grow, and put in order at their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from straced.errors import OutputError
from straced.tracers.strace.line_order import sort_by_time
from tests.support.cli import popen_straced, straced
from tests.support.poll import until
from tests.support.workload import Starter

LINES = b"2 12:00:02 b()\n1 12:00:01 a()\n"


@pytest.mark.needs("root", "ebpf", "cc")
def test_windows_are_there_as_they_come(start: Starter, tmp_path: Path) -> None:
    """Killed in the middle, what was written is kept, under its name."""
    target, path = start("tick"), tmp_path / "windows"
    process = popen_straced("attach", target.pid, "-i", "0.2s", "--json", "-o", path)
    try:
        until(lambda: path.exists() and path.read_text().count("\n") >= 2, 20, "two windows")
    finally:
        process.kill()
        process.communicate()
    for line in path.read_text().splitlines():
        assert json.loads(line)["schema"] == "straced.summary/1"
    assert os.listdir(tmp_path).count("windows") == 1


@pytest.mark.needs("strace", "cc")
def test_a_trace_has_its_name_while_it_grows(start: Starter, tmp_path: Path) -> None:
    target, path = start("tick"), tmp_path / "trace"
    path.write_text("old")
    process = popen_straced("trace", "--tracer", "strace", target.pid, "-o", path, "--overwrite")
    try:
        until(lambda: path.read_text().count("\n") >= 2, 20, "lines are written")
    finally:
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert sorted(os.listdir(tmp_path)) == ["TMPDIR", "trace"]


@pytest.mark.needs("strace", "cc")
def test_a_trace_that_cannot_begin_leaves_the_old_one(start: Starter, tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    path = tmp_path / "trace"
    path.write_text("old")
    straced("trace", gone.pid, "-o", path, "--overwrite").assert_clear_error(3)
    assert path.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["TMPDIR", "trace"]


def test_lines_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(LINES)
    sort_by_time(path)
    assert path.read_bytes() == b"".join(reversed(LINES.splitlines(keepends=True)))
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_became_a_link_is_not_put_in_order(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "trace"
    victim.write_bytes(LINES)
    path.symlink_to(victim)
    with pytest.raises((OSError, OutputError)):
        sort_by_time(path)
    assert victim.read_bytes() == LINES
    assert path.is_symlink()
