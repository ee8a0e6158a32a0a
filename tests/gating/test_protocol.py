"""A gate is known by what it says of itself, whichever installation made it; what only says so gains nothing."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from straced import Profiler, gate, gating
from straced.errors import InvalidArgument
from straced.gating import waiting
from straced.linux import procfs
from tests.service.daemon import Daemon
from tests.service.processes import public_folder
from tests.support import proc
from tests.support.needs import require
from tests.support.owner import environment
from tests.support.poll import until


@pytest.fixture
def other(world: None) -> Iterator[dict[str, str]]:
    """The environment of a Python that imports another installation of the same package, open to all as most are."""
    import straced

    with public_folder() as folder:
        shutil.copytree(Path(straced.__file__).parent, folder / "other" / "straced")
        there = environment()
        yield {**os.environ, **there, "PYTHONPATH": f"{folder / 'other'}{os.pathsep}{there['PYTHONPATH']}"}


GATED = """
import json, os, subprocess, sys, straced
process = subprocess.Popen(straced.gate(["/bin/true"]))
print(json.dumps([process.pid, straced.__file__]), flush=True)
sys.stdin.read()
process.kill()
"""


@pytest.mark.parametrize("tracer", ["ebpf", "strace"])
async def test_a_gate_of_another_installation(other: dict[str, str], tracer: str) -> None:
    require(tracer)
    async with Profiler(tracer) as profiler:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        application = await asyncio.create_subprocess_exec(sys.executable, "-c", GATED, env=other, **options)  # type: ignore[arg-type]
        try:
            assert application.stdout is not None
            pid, module = json.loads(await application.stdout.readline())
            assert module.startswith(other["PYTHONPATH"].partition(os.pathsep)[0])
            began = time.monotonic()
            session = await profiler.attach(pid)
            result = await asyncio.wait_for(session.result(), 20)
            took_s = time.monotonic() - began
        finally:
            await application.communicate(b"")
    assert took_s < gating.PATIENCE_S / 2, "nothing had to time out"
    assert session.target.cmdline == ("/bin/true",)
    assert {row.name: row.calls for row in result.rows}["execve"] == 1
    assert (result.total.calls or 0) < 60, "true, and nothing of Python"


@pytest.mark.needs("root", "ebpf")
async def test_a_service_of_another_installation(other: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    daemon = Daemon(tmp_path / "service").start(PYTHONPATH=other["PYTHONPATH"])
    try:
        async with daemon.client() as client:
            session = await client.spawn(["/bin/true"])
            assert session.process is not None
            assert await session.process.wait() == 0
            result = await session.result()
    finally:
        daemon.stop()
    assert result.quality.kind == "exact"
    assert result.target.cmdline == ("/bin/true",)
    assert result.syscalls["execve"].calls == 1
    assert (result.total.calls or 0) < 60, "true, and nothing of Python"


FAKE = """
import ctypes, signal, sys
ctypes.CDLL(None).prctl(15, sys.argv[-1].encode(), 0, 0, 0)
print(flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Start a program that has the words of a gate, and sleeps under the name that it is given."""
    (tmp_path / "straced-gate").write_text(FAKE)
    started = []

    def starter(name: str) -> int:
        words = [sys.executable, "straced-gate", "1", "1000", "1", "1", "/x", "\x1b[31mfake", name]
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield starter
    for process in started:
        assert process.poll() is None, "nobody ended it"
        process.kill()
        process.communicate()


@pytest.mark.needs("strace")
async def test_what_only_calls_itself_a_gate_is_not_waited_for(
    fake: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = fake("not-ready")
    assert gating.program_of(pid) == ("\\x1b[31mfake", "not-ready"), "its words are foreign text"
    monkeypatch.setattr(waiting, "START_S", 0.05)
    async with Profiler("strace") as profiler:
        session = await asyncio.wait_for(profiler.attach(pid), 5)
        await session.detach()
    until(lambda: proc.state(pid) == "S", what="it waits on")  # a call that is restarted runs for a moment


def test_what_calls_itself_a_gate_and_waits_gets_no_harm(fake: Callable[[str], int]) -> None:
    pid = fake("straced-gate")
    until(lambda: waiting.is_ready(pid))
    for _ in range(3):
        gating.release(pid)
        until(lambda: proc.state(pid) == "S")


def test_every_tracer_asks_by_the_same_words() -> None:
    words = gate(["/bin/true", "--flag"])
    assert words[1:3] == ["straced-gate", "1"]
    assert words[4:6] == [str(os.getpid()), str(procfs.stat(os.getpid()).start_ticks)]


@pytest.mark.parametrize("patience_s", [-1, float("nan"), float("inf"), 1e12])
def test_a_patience_that_is_none(patience_s: float) -> None:
    with pytest.raises(InvalidArgument):
        gate(["/bin/true"], patience_s=patience_s)
