"""Users without rights profile their own processes by a service of root: the same verbs, and it is said.

Of `workflows/delegation.py`, `service/api/link.py` and `client/connection.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.errors import OutputError
from straced.ipc.messages import Select
from tests.service.daemon import SOURCE, Daemon, serving
from tests.service.needs import needs_ebpf, needs_root
from tests.service.processes import READY, as_nobody, folder_of_nobody, popen, public_folder, running
from tests.support.poll import until

pytestmark = [needs_root, needs_ebpf]
TICKING = (
    "import ctypes\ngetppid = ctypes.CDLL(None).getppid\n"
    + READY
    + "while True:\n    for _ in range(7): getppid()\n    time.sleep(0.01)\n"
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with public_folder() as folder, serving(folder) as made:
        yield made


@pytest.fixture
def own(world: None) -> Iterator[subprocess.Popen[str]]:
    """A process of nobody that makes calls."""
    process = popen([*as_nobody(), "/usr/bin/python3", "-S", "-c", TICKING])
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def nobody(daemon: Daemon, *words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """A verb typed by another user."""
    place = [f"PYTHONPATH={SOURCE}", f"STRACED_SOCKET={daemon.socket}", f"PATH={path}", "HOME=/nonexistent"]
    setpriv = [f"/usr/bin/{as_nobody()[0]}", *as_nobody()[1:]]
    argv = ["/usr/bin/env", "-i", *place, *setpriv, sys.executable, "-m", "straced", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=50, cwd="/")


def test_attach(daemon: Daemon, own: subprocess.Popen[str]) -> None:
    done = nobody(daemon, "attach", str(own.pid), "-d", "1s", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    calls = {row["name"]: row["calls"] for row in told["syscalls"]}
    assert calls["getppid"] >= 7
    assert calls["getppid"] % 7 == 0 or calls["getppid"] > 70
    assert told["tracer"] == "ebpf"
    assert told["quality"]["kind"] == "exact"
    assert f"straced attach: {own.pid} is counted by the service, since: " in done.stderr


def test_windows_by_the_service(daemon: Daemon, own: subprocess.Popen[str]) -> None:
    done = nobody(daemon, "attach", str(own.pid), "-d", "1.5s", "-i", "500ms", "--json")
    windows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(windows) >= 2
    assert any("getppid" in {row["name"] for row in window["syscalls"]} for window in windows)


def test_what_is_not_theirs_stays_refused(daemon: Daemon) -> None:
    with running(TICKING) as theirs:
        done = nobody(daemon, "attach", str(theirs.pid), "-d", "1s", "--json")
    assert done.returncode in (4, 5)
    assert done.stdout == ""
    assert "by the service" not in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_trace_where_there_is_no_strace(own: subprocess.Popen[str], public: Path) -> None:
    out = folder_of_nobody(public) / "trace"
    words = ("trace", str(own.pid), "-o", str(out), "-e", "getppid", "-d", "1s")
    with serving(public) as daemon:
        done = nobody(daemon, *words, path="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert "is traced by the service, since: " in done.stderr
    head, *text = out.read_text().splitlines()
    assert head.startswith("# straced trace {")
    assert text[0].startswith(f'# straced process {{"pid":{own.pid},')
    lines = [line for line in text if "(" in line and not line.startswith("# straced ")]
    assert lines
    assert all("getppid(" in line for line in lines)  # the last may have been left in the middle of a call
    assert out.stat().st_uid == 65534
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


async def test_a_trace_leaves_the_room_that_its_client_asked_for(
    own: subprocess.Popen[str], public: Path, tmp_path: Path
) -> None:
    with serving(public) as daemon:
        async with daemon.client() as client:
            with pytest.raises(OutputError, match=r"a trace leaves 900\.0 TB"):
                await client.trace(own.pid, tmp_path / "much", min_free_bytes=900 * 10**12)
            assert not (tmp_path / "much").exists()
            trace = await client.trace(own.pid, tmp_path / "little", min_free_bytes=1000)
            await trace.stop()
    assert (tmp_path / "little").exists()


def test_why(daemon: Daemon, own: subprocess.Popen[str]) -> None:
    done = nobody(daemon, "why", str(own.pid), "-d", "500ms")
    assert done.returncode == 0, done.stderr
    assert f"straced why: the calls of {own.pid} were counted by the service" in done.stderr
    assert str(own.pid) in done.stdout


def test_top(daemon: Daemon, own: subprocess.Popen[str]) -> None:
    assert nobody(daemon, "watch", "add", str(own.pid)).returncode == 0
    until(lambda: str(own.pid) in nobody(daemon, "top", "--once").stdout, 30)
    shown = nobody(daemon, "top", "--once", "--json")
    pids = {row["pid"] for row in json.loads(shown.stdout)["processes"]}
    assert pids == {own.pid}
    assert nobody(daemon, "watch", "rm", str(own.pid)).returncode == 0


async def test_the_label_of_a_run_reaches_the_service(daemon: Daemon) -> None:
    words = ["run", "--label", "job=build-77", "--", "/bin/sh", "-c", "sleep 1; exit 3"]
    env = {**os.environ, "PYTHONPATH": SOURCE, "STRACED_SOCKET": str(daemon.socket)}
    done = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-m", "straced", *words], capture_output=True, text=True, timeout=50, env=env
    )
    assert done.returncode == 3, done.stderr
    async with daemon.client() as client:
        async with asyncio.timeout(20):
            while "exited 3" not in (await client.report("build-77")).exit_statuses:
                await asyncio.sleep(0.05)
        assert {info.comm for info in await client.processes(Select(job="build-77"))} >= {"sh"}
