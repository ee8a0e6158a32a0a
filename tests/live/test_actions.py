"""What the keys do to real processes.

Of `live/spared.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from straced.errors import (
    AttachError,
    NoSuchProcess,
    NotPermitted,
    OwnProcess,
    ProtectedTarget,
    TargetIsZombie,
    TracerUnavailable,
)
from straced.linux import procfs
from straced.linux.output_file import OutputFile
from straced.linux.process_scan import call_now
from straced.live.actions import LocalActions, _same_target
from straced.profiling.profiler import Profiler
from straced.tracers.strace.recording import RecordOptions
from straced.views.why.report import report
from tests.live.processes import workload
from tests.support.needs import require


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def read(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_signal_reaches_its_process(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        actions = LocalActions(tmp_path)
        await actions.signal(worker.key, signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, worker.pid, os.WSTOPPED)
        assert procfs.stat(worker.pid).state == "T"
        await actions.signal(worker.key, signal.SIGCONT)
        await actions.signal(worker.key, signal.SIGTERM)
        assert await asyncio.to_thread(worker.process.wait, 5) == -signal.SIGTERM


async def test_a_reused_pid_gets_no_signal(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        pid, start = worker.key
        with pytest.raises(NoSuchProcess):
            await LocalActions(tmp_path).signal((pid, start - 1), signal.SIGKILL)
        assert worker.process.poll() is None
        assert procfs.stat(pid).state in "SR"


async def test_signals_that_cannot_be(tmp_path: Path) -> None:
    actions = LocalActions(tmp_path)
    with pytest.raises(OwnProcess):
        await actions.signal((os.getpid(), procfs.stat(os.getpid()).start_ticks), signal.SIGTERM)
    with workload(tmp_path) as worker:
        key = worker.key
    with pytest.raises(NoSuchProcess):
        await actions.signal(key, signal.SIGTERM)


async def test_the_first_process_and_all_above_us_get_no_signal(tmp_path: Path) -> None:
    actions = LocalActions(tmp_path)
    with pytest.raises(ProtectedTarget):
        await actions.signal((1, procfs.stat(1).start_ticks), signal.SIGCONT)
    for pid in procfs.ancestors(os.getpid()):
        with pytest.raises((OwnProcess, ProtectedTarget)):
            await actions.signal((pid, procfs.stat(pid).start_ticks), signal.SIGCONT)


async def test_a_helper_gets_no_signal(tmp_path: Path) -> None:
    require("strace")
    with workload(tmp_path) as worker:
        actions = LocalActions(tmp_path)
        await actions.start_trace(worker.key)
        try:
            helper = procfs.tracer_pid(worker.pid)
            guard = procfs.stat(helper).ppid
            for pid in (helper, guard):
                with pytest.raises(OwnProcess):
                    await actions.signal((pid, procfs.stat(pid).start_ticks), signal.SIGCONT)
        finally:
            await actions.close()
        assert procfs.stat(worker.pid).state in "SR"


async def test_a_zombie_gets_no_signal(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        key = worker.key
        worker.process.kill()
        await asyncio.to_thread(os.waitid, os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TargetIsZombie):
            await LocalActions(tmp_path).signal(key, signal.SIGTERM)


async def test_a_trace_lets_go_of_who_got_the_pid_meanwhile(tmp_path: Path) -> None:
    require("strace")
    with workload(tmp_path) as worker:
        profiler = Profiler("strace")
        output = OutputFile(tmp_path / "trace")
        pid, start = worker.key
        try:
            recording = await profiler.record(pid, output.fd, RecordOptions())
            await _same_target((pid, start), recording)
            assert procfs.tracer_pid(pid) != 0
            with pytest.raises(NoSuchProcess):
                await _same_target((pid, start - 1), recording)
            assert procfs.tracer_pid(pid) == 0
        finally:
            await profiler.close()
            output.discard()


def test_another_users_process_is_refused(tmp_path: Path) -> None:
    require("root")
    with workload(tmp_path) as worker:
        code = (
            "import asyncio, os, sys\n"
            "from straced.live.actions import LocalActions\n"
            "from pathlib import Path\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "asyncio.run(LocalActions(Path('/')).signal((int(sys.argv[1]), int(sys.argv[2])), 15))\n"
        )
        words = [sys.executable, "-c", code, *map(str, worker.key)]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=20)
        assert NotPermitted.__name__ in ended.stderr
        assert worker.process.poll() is None


async def test_why_names_the_holder_of_a_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('mine', flush=True); input()"
    words = [sys.executable, "-c", code, str(lock)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220
    waiter = None
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mine\n"
        waiter = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220
        key = waiter.pid, procfs.stat(waiter.pid).start_ticks
        await asyncio.to_thread(lambda: _until(lambda: call_now(str(key[0]), None) == "flock"))
        lines = report(await LocalActions(tmp_path).why(key), 100).splitlines()
        verdict = " ".join(lines[: lines.index("")])
        assert str(waiter.pid) in verdict
        assert str(holder.pid) in verdict
        assert all(len(line) <= 100 for line in lines[: lines.index("")])
        assert any("flock" in line for line in lines)
    finally:
        for process in filter(None, (waiter, holder)):
            process.kill()
            process.communicate()
    with pytest.raises(NoSuchProcess):
        await LocalActions(tmp_path).why(key)
    with pytest.raises(OwnProcess):
        await LocalActions(tmp_path).why((os.getpid(), procfs.stat(os.getpid()).start_ticks))


async def test_a_full_trace_starts_stops_and_leaves_its_target_running(tmp_path: Path) -> None:
    require("strace")
    with workload(tmp_path, batches=20) as worker:
        actions = LocalActions(tmp_path / "traces")
        state = await actions.start_trace(worker.key)
        try:
            assert state.running
            assert state.path.parent == tmp_path / "traces"
            assert procfs.tracer_pid(worker.pid) != 0
            again = await actions.start_trace(worker.key)
            assert again.path == state.path
            deadline = asyncio.get_running_loop().time() + 10
            while b"getppid()" not in read(state.path) and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.05)
            ended = await actions.stop_trace(worker.key)
            assert not ended.running
            assert ended.bytes > 0
            assert procfs.tracer_pid(worker.pid) == 0
            assert procfs.stat(worker.pid).state in "SR"
            assert b"getppid()" in read(state.path)
            assert state.path.stat().st_mode & 0o777 == 0o600
        finally:
            await actions.close()


async def test_traces_that_begin_in_the_same_second_have_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("strace")
    monkeypatch.setattr(time, "strftime", lambda _: "20300101-000000")
    with workload(tmp_path) as worker:
        actions = LocalActions(tmp_path)
        try:
            paths = []
            for _ in range(2):
                paths.append((await actions.start_trace(worker.key)).path.name)
                await actions.stop_trace(worker.key)
        finally:
            await actions.close()
        stem = f"straced-{worker.pid}-20300101-000000"
        assert paths == [f"{stem}.strace", f"{stem}-2.strace"]


async def test_leaving_ends_a_trace_that_runs(tmp_path: Path) -> None:
    require("strace")
    with workload(tmp_path, batches=20) as worker:
        actions = LocalActions(tmp_path)
        await actions.start_trace(worker.key)
        await actions.close()
        await actions.close()
        assert procfs.tracer_pid(worker.pid) == 0
        assert not actions.traces()[0].running


async def test_a_trace_that_cannot_be_leaves_no_file(tmp_path: Path) -> None:
    require("strace")
    actions = LocalActions(tmp_path / "traces")
    me = os.getpid(), procfs.stat(os.getpid()).start_ticks
    with pytest.raises((AttachError, TracerUnavailable)):
        await actions.start_trace(me)
    await actions.close()
    assert "traces" not in os.listdir(tmp_path)
    with pytest.raises(AttachError):
        await actions.stop_trace(me)
