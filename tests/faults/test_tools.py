"""Strace missing or odd, commands missing, filters mistyped.

Of `tracers/strace/binary.py` and `tracers/strace/filters.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from straced import Profiler, errors
from straced.tracers.strace import binary
from tests.support.cli import straced
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")

FAKES = {
    "fails": "#!/bin/sh\nexit 1\n",
    "old": '#!/bin/sh\necho "strace -- version 4.8"\n',
    "hangs": "#!/bin/sh\nexec sleep 600\n",
    "babbles": "#!/bin/sh\nwhile :; do echo nonsense nonsense nonsense; echo nonsense >&2; done\n",
    "not executable": "no program\n",
}


@pytest.mark.parametrize("fake", FAKES)
async def test_a_strace_that_is_none(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: str
) -> None:
    monkeypatch.setattr(binary, "ANSWER_S", 0.5)
    workload = start("tick")
    program = tmp_path / "bin" / "strace"
    program.parent.mkdir()
    program.write_text(FAKES[fake])
    program.chmod(0o644 if fake == "not executable" else 0o755)
    path = "" if fake == "not executable" else f":{os.environ['PATH']}"
    monkeypatch.setenv("PATH", f"{program.parent}{path}")
    async with Profiler(tracer="strace") as profiler:
        with pytest.raises((errors.TracerUnavailable, errors.AttachTimeout, errors.TracerCrashed, errors.AttachError)):
            await profiler.attach(workload.pid)
    assert workload.untraced()
    assert workload.runs()


def test_without_strace_the_command_runs_and_doctor_tells(start: Starter, tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    result = straced("attach", start("tick").pid, "--tracer", "strace", env=env)
    result.assert_clear_error(5)
    assert "strace" in result.err
    ran = straced("run", "--tracer", "strace", "--", start.gt, "leave", "4", env=env)
    assert ran.status == 4
    assert "install" in straced("doctor", env=env).out


@pytest.mark.parametrize(
    ("command", "status"), [("/nope/nope", 127), ("nope-nope", 127), ("/etc/passwd", 126), ("/tmp", 126)]
)
def test_a_command_that_cannot_be_started(command: str, status: int) -> None:
    result = straced("run", "--tracer", "strace", "--", command)
    result.assert_clear_error(status)
    assert "syscall" not in result.err, "no table of one failed execve"


@pytest.mark.parametrize("word", ["nope", "opnat", "%nope", "", ",", "a b"])
def test_a_filter_that_names_no_call(start: Starter, word: str) -> None:
    workload = start("tick")
    straced("trace", workload.pid, "-e", f"trace={word}").assert_clear_error(2)
    assert workload.untraced()


def test_did_you_mean(start: Starter) -> None:
    result = straced("trace", start("tick").pid, "-e", "trace=opnat")
    assert "openat" in result.err
