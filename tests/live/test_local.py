"""The local source on real processes, checked against what they are known to do.

Of `live/counting.py`, `live/process_detail.py`, `live/timeline.py`, `linux/descriptors.py`, `linux/sockets.py` and
`linux/threads.py`.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from straced.errors import AmbiguousTarget, NoSuchProcess
from straced.linux import procfs
from straced.linux.process_scan import ProcessScan, abi_of, call_now, parse_call
from straced.linux.targets import parse
from straced.live.host_meter import MachineMeter
from straced.live.local import LocalSource
from straced.model.frame import Frame, Key, ProcessDetail
from tests.live.processes import workload
from tests.support.needs import require
from tests.support.poll import auntil


async def second_frame(source: LocalSource, seconds: float = 1.0) -> Frame:
    """Attach, and look at one whole window."""
    await source.frame()
    await source.settle()
    await source.frame()
    await asyncio.sleep(seconds)  # the length of the window that is measured
    return await source.frame()


async def frame_until(source: LocalSource, frame: Frame, calls_s: float, rel: float) -> Frame:
    """Windows of a second until one has the rate that is known: a busy machine lets the workload be late at times."""
    for _ in range(10):
        if frame.processes and frame.processes[0].calls_s == pytest.approx(calls_s, rel=rel):
            break
        await asyncio.sleep(1.0)
        frame = await source.frame()
    return frame


async def detail_where(source: LocalSource, key: Key, right: Callable[[ProcessDetail], bool]) -> ProcessDetail:
    """Look again and again, as the screen does, until something is so."""

    async def looked() -> ProcessDetail | None:
        detail = await source.detail(key)
        return detail if right(detail) else None

    found = await auntil(looked, pause=lambda: asyncio.sleep(0.1))
    assert found is not None
    return found


def waits(detail: ProcessDetail, call: str | None = None) -> list[int]:
    """For how long each thread, or each that is in this call, has been where it is."""
    return [each.for_ns or 0 for each in detail.threads or () if call in (None, each.call)]


async def test_facts_of_a_process_agree_with_psutil(tmp_path: Path) -> None:
    with workload(tmp_path, batches=1, threads=3) as worker:  # seldom met at work
        source = LocalSource([parse(str(worker.pid))], "none")
        frame = await second_frame(source, 0.2)
        while frame.processes[0].now not in ("pselect6", "select"):  # it is met at work, or on its way to it
            frame = await source.frame()
        await source.close()
        row = next(each for each in frame.processes if each.pid == worker.pid)
        other = psutil.Process(worker.pid)
        assert (row.ppid, row.uid, row.threads) == (os.getpid(), os.getuid(), 4)
        assert row.rss_bytes == pytest.approx(other.memory_info().rss, rel=0.1)
        assert row.cmdline == " ".join(other.cmdline())
        assert row.calls_s is None
        assert row.waiting_pct is None
        assert frame.tracer is None


def _cpu_s(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


async def test_cpu_share_of_a_busy_process() -> None:
    process = await asyncio.create_subprocess_exec("sh", "-c", "while :; do :; done")
    try:
        source = LocalSource([parse(str(process.pid))], "none")
        first = _cpu_s(process.pid), time.monotonic()
        await source.frame()
        second = _cpu_s(process.pid), time.monotonic()
        await asyncio.sleep(1.0)
        third = _cpu_s(process.pid), time.monotonic()
        frame = await source.frame()
        fourth = _cpu_s(process.pid), time.monotonic()
        await source.close()
        least = 100 * (third[0] - second[0]) / (fourth[1] - first[1])
        most = 100 * (fourth[0] - first[0]) / (third[1] - second[1])
        assert least - 3 <= (frame.processes[0].cpu_pct or 0) <= most + 3, "the clock of /proc ticks every 10 ms"
        assert frame.processes[0].now in ("running", None)
    finally:
        process.kill()
        await process.wait()


async def test_threads_files_and_sockets_by_name(tmp_path: Path) -> None:
    with workload(tmp_path, threads=3, batches=1) as worker:
        source = LocalSource([parse(str(worker.pid))], "none")
        await source.frame()
        began_ns = time.monotonic_ns()
        detail = await detail_where(source, worker.key, lambda detail: max(waits(detail, "read"), default=0) > 0.4e9)
        await source.close()
        assert len(waits(detail, "read")) == 3
        assert all(0.4e9 < each < time.monotonic_ns() - began_ns for each in waits(detail, "read"))
        assert detail.files is not None
        names = {each.name: each for each in detail.files}
        assert names[str(worker.file)].mode == "w"
        assert names[f"127.0.0.1:{worker.port} listen"].kind == "tcp"
        assert any(each.kind == "pipe" for each in detail.files)


async def test_a_thread_that_moves_starts_anew(tmp_path: Path) -> None:
    with workload(tmp_path, batches=20) as worker:
        source = LocalSource([parse(str(worker.pid))], "none")
        await source.frame()
        await source.detail(worker.key)
        await asyncio.sleep(0.1)  # a thread that does not move has been there that long
        detail = await detail_where(source, worker.key, lambda detail: min(waits(detail)) < 0.1e9)
        await source.close()
        assert len(waits(detail)) == 1


async def test_a_process_that_ends_is_gone_and_on_the_time_line(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        key = worker.key
        source = LocalSource([parse(str(worker.pid))], "none")
        await source.frame()
        worker.process.kill()
        await asyncio.to_thread(worker.process.wait)
        frame = await source.frame()
        assert (await source.detail(key)).gone
        assert [(note.kind, note.pid) for note in frame.notes] == [("ended", worker.pid)]
        assert frame.processes == ()
        await source.close()


async def test_another_users_process_shows_what_may_be_seen(tmp_path: Path) -> None:
    require("root")
    with workload(tmp_path) as worker:
        for module in ("ctypes", "straced.tracers.ebpf.tracer", "straced.tracers.strace.tracer"):
            importlib.import_module(module)  # nobody may not read the folder of this Python
        child = os.fork()
        if child == 0:  # look with the eyes of nobody
            os._exit(_as_nobody(worker.key))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0


def _as_nobody(key: Key) -> int:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return asyncio.run(_look_as_nobody(key))
    except BaseException as error:
        print(f"as nobody: {error!r}")
        return 1


async def _look_as_nobody(key: Key) -> int:
    source = LocalSource([parse(str(key[0]))])
    frame = await second_frame(source, 0.2)
    detail = await source.detail(key)
    row = frame.processes[0]
    assert row.state in "SR"
    assert row.threads == 1
    assert row.calls_s is None
    assert row.now is None
    assert frame.tracer is None
    assert frame.tracer_reason
    assert detail.files is None
    assert len(detail.unreadable) == 2
    await source.close()
    return 0


def test_targets_that_are_nobody_are_said_at_once(tmp_path: Path) -> None:
    with workload(tmp_path) as worker:
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
        with pytest.raises(NoSuchProcess):
            LocalSource([parse(str(worker.pid))])
    with pytest.raises(NoSuchProcess):
        LocalSource([parse("name:no-such-program-at-all")])
    with (
        workload(tmp_path, name="straced-twin"),
        workload(tmp_path, name="straced-twin"),
        pytest.raises(AmbiguousTarget),
    ):
        LocalSource([parse("name:straced-twin")])


async def test_counts_are_what_the_process_did(tmp_path: Path) -> None:
    require("ebpf")
    with workload(tmp_path, batches=50, calls=20, errors=2, threads=2) as worker:
        source = LocalSource([parse(str(worker.pid))], "ebpf")
        try:
            frame = await second_frame(source, 2.0)
            frame = await frame_until(source, frame, 50 * 23, 0.06)
            row = frame.processes[0]
            assert frame.tracer == "ebpf"
            assert frame.quality.lost == 0
            assert row.calls_s == pytest.approx(50 * 23, rel=0.06)
            assert row.errors_s == pytest.approx(100, rel=0.06)
            assert frame.calls_s == pytest.approx(row.calls_s, rel=0.01)
            assert row.waits_longer  # two threads were in read(2) before they were counted
            assert row.waiting_pct is not None
            assert 80 < row.waiting_pct <= 300
            detail = await source.detail(worker.key)
            assert detail.calls is not None
            calls = {each.name: each for each in detail.calls}
            seconds = detail.duration_ns / 1e9
            assert calls["getppid"].calls == pytest.approx(1000 * seconds, rel=0.06)
            assert calls["openat"].errno == {"ENOENT": calls["openat"].calls}
            assert sum(detail.histograms["getppid@x86_64"]) == calls["getppid"].calls
        finally:
            await source.close()


async def test_a_process_that_does_nothing_has_zeros_not_dashes(tmp_path: Path) -> None:
    require("ebpf")
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        await auntil(lambda: call_now(str(process.pid), abi_of(process.pid)) == "clock_nanosleep", 20, "it sleeps")
        source = LocalSource([parse(str(process.pid))], "ebpf")
        frame = await second_frame(source, 0.5)
        await source.close()
        row = frame.processes[0]
        assert (row.calls_s, row.errors_s, row.working_pct) == (0.0, 0.0, 0.0)
        assert row.waiting_pct == pytest.approx(100, abs=1)
        assert row.now == "clock_nanosleep"
    finally:
        process.kill()
        await process.wait()


async def test_children_that_come_later_are_counted_and_a_restart_is_found_again(tmp_path: Path) -> None:
    require("ebpf")
    with workload(tmp_path, name="straced-again") as first:
        source = LocalSource([parse("name:straced-again")], "ebpf")
        frame = await second_frame(source, 0.5)
        assert [(row.pid, row.job) for row in frame.processes] == [(first.pid, "name:straced-again")]
    with workload(tmp_path, name="straced-again", batches=50) as second:
        await source.frame()
        await source.settle()
        frame = await second_frame(source, 1.0)
        frame = await frame_until(source, frame, 50 * 12, 0.1)
        await source.close()
        row = frame.processes[0]
        assert row.pid == second.pid
        assert row.calls_s == pytest.approx(50 * 12, rel=0.1)


async def test_everything_visible_is_covered_but_not_we_ourselves() -> None:
    require("ebpf")
    source = LocalSource()
    frame = await second_frame(source, 0.3)
    await source.close()
    rows = {row.pid: row for row in frame.processes}
    assert not rows[os.getpid()].watched
    for pid in procfs.ancestors(os.getpid()):
        assert pid not in rows or not rows[pid].watched
    assert frame.watched == sum(row.watched for row in frame.processes)


def test_the_machine_agrees_with_psutil() -> None:
    machine = MachineMeter().read()
    assert machine.cpus == psutil.cpu_count()
    assert machine.memory_bytes == psutil.virtual_memory().total
    assert machine.memory_used_bytes == pytest.approx(
        psutil.virtual_memory().total - psutil.virtual_memory().available, rel=0.2
    )
    assert machine.cpu_pct is None


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (b"0 0x3 0x7f 0x1000 0x0 0x0 0x0 0x7ffc 0x7f\n", "read"),
        (b"running\n", "running"),
        (b"-1 0x7ffc 0x7f12\n", "in kernel"),
        (b"", None),
        (b"garbage\n", None),
    ],
)
def test_the_call_a_task_is_in(line: bytes, call: str | None) -> None:
    assert parse_call(line, "x86_64") == call


def test_the_abi_of_ourselves() -> None:
    from straced.syscalls import native_abi

    assert abi_of(os.getpid()) == native_abi()
    assert abi_of(2**22) is None


def test_a_scan_of_a_hostile_proc(tmp_path: Path) -> None:
    folder = tmp_path / "4242"
    folder.mkdir()
    stat = b"4242 (\x1b[2J) R 9) S 1 1 1 0 -1 0 0 0 0 0 5 7 0 0 20 0 3 0 999 1000 25 0\n"
    (folder / "stat").write_bytes(stat)
    (folder / "cmdline").write_bytes(b"a\nb\0" + b"x" * 9000)
    (tmp_path / "4243").mkdir()
    (tmp_path / "4243" / "stat").write_bytes(b"4243 (cut")
    scan = ProcessScan(str(tmp_path))
    facts, _ = scan.scan(1)
    assert [(each.pid, each.comm, each.threads, each.start_ticks) for each in facts] == [
        (4242, "\\x1b[2J) R 9", 3, 999)
    ]
    known = scan.identity(facts[0])
    assert known.cmdline.startswith("a\\x0ab x")
    assert len(known.cmdline) <= 404
    assert known.abi is None
