"""When rings are looked at, and by whom; when the disk is given what was in them.

Of `tracers/ebpf/ring_drain.py` and `linux/writeback.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from straced.linux import writeback
from straced.records.reader import RecordFile
from straced.tracers.ebpf import ring_drain
from straced.tracers.ebpf.record_engine import cpu_count, ring_size
from straced.tracers.ebpf.record_session import RecorderOptions
from straced.tracers.ebpf.ring_drain import going_first, next_look_s
from tests.support.poll import auntil
from tests.support.priority import has_priority, may_have_priority
from tests.support.records import check_sums, recording
from tests.tracers.ebpf.conftest import Start

END_BYTES = 4096
"""More than the sums take at the end of a file, and the calls in flight."""
LOST = 500_000
"""Calls: some two hundred rings full."""


@pytest.mark.parametrize(
    ("rate", "ring_bytes", "expected_s"),
    [
        (0, 8 << 20, 0.02),
        (20_000_000, 8 << 20, 0.02),  # a busy server
        (100_000_000, 8 << 20, 0.00524),  # a sixteenth of the ring
        (100_000_000, 64 << 20, 0.02),
        (1_000_000_000, 8 << 20, 0.002),
        (1_000_000, 1 << 20, 0.00262),  # a burst could fill it in the meantime
        (0, 128 << 10, 0.02),
        (1_000_000, 128 << 10, 0.002),
    ],
)
def test_a_ring_is_looked_at_as_often_as_it_fills(rate: int, ring_bytes: int, expected_s: float) -> None:
    for since_s in (0.002, 0.02):
        assert next_look_s(int(rate * since_s), since_s, ring_bytes) == pytest.approx(expected_s, rel=0.01)


@pytest.mark.needs("ebpf")
async def test_who_empties_the_rings_goes_first_where_it_may(start: Start, tmp_path: Path) -> None:
    expected = may_have_priority()
    async with recording(start("n", 1).pid, tmp_path / "t.strc") as running:
        task = running._drain._thread.native_id
        assert task is not None
        await auntil(lambda: has_priority(task) == expected, what="it has priority")
        assert not has_priority(threading.get_native_id())


@pytest.mark.needs("ebpf")
async def test_who_may_not_go_first_empties_the_rings_all_the_same(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []

    def set_scheduler(task: int, policy: int, parameter: os.sched_param) -> None:
        refused.append(threading.get_native_id())
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", set_scheduler)
    target = start("n", 400)
    async with recording(target.pid, tmp_path / "t.strc") as running:
        await auntil(lambda: refused, what="it has asked")
        assert refused == [running._drain._thread.native_id]
        assert await asyncio.to_thread(target.run) == 0
    assert check_sums(RecordFile(tmp_path / "t.strc"))["getppid"] == 400


def test_who_goes_first_for_a_while_does_not_for_longer() -> None:
    expected, found = may_have_priority(), []

    def ask() -> None:
        with contextlib.suppress(ValueError), going_first():
            found.append(has_priority(0))
            raise ValueError
        found.append(has_priority(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [expected, False]


def test_nobody_goes_first_who_would_be_ended_for_it() -> None:
    """RLIMIT_RTTIME ends a process by a signal; systemd and rtkit set it for sessions."""
    code = (
        "import os, resource, threading\n"
        "from straced.tracers.ebpf import ring_drain\n"
        "resource.setrlimit(resource.RLIMIT_RTTIME, (200_000, 200_000))\n"
        "def run(): ring_drain._go_first(); print(os.sched_getscheduler(0))\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) == os.SCHED_OTHER


@pytest.mark.needs("ebpf")
async def test_the_disk_is_given_what_was_written_as_it_comes(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    begin = writeback.begin

    def kept(fd: int, first: int, end: int) -> bool:
        given.append((first, end))
        return begin(fd, first, end)

    monkeypatch.setattr(ring_drain, "WRITEBACK_BYTES", 1000)
    monkeypatch.setattr(writeback, "begin", kept)
    target = start("n", 1000)
    async with recording(target.pid, tmp_path / "t.strc") as running:
        assert await asyncio.to_thread(target.run) == 0
        await auntil(lambda: given and given[-1][1] > 1000 * 40, what="the disk has it")
    assert [first for first, _ in given[1:]] == [end for _, end in given[:-1]]
    assert given[0][0] == 0
    assert given[-1][1] <= running.bytes_written == (tmp_path / "t.strc").stat().st_size
    check_sums(RecordFile(tmp_path / "t.strc"))


@pytest.mark.needs("ebpf")
async def test_who_reads_nothing_has_no_more_waiting_than_was_said(start: Start, tmp_path: Path) -> None:
    """What is left in the rings at the end has its room there; what is beyond is lost, and counted."""
    ring_bytes = ring_size(0, 1)
    ahead = ring_bytes * (cpu_count() + 2)
    target = start("n", 1_000_000_000)
    options = RecorderOptions(ring_bytes=ring_bytes, ahead_bytes=ahead)
    async with recording(target.pid, tmp_path / "t.strc", options) as running:
        target.go()
        await auntil(lambda: running.bytes_written > ring_bytes, 60, "the file has nearly as much as it may")
        await auntil(lambda: sum(running.engine.all_fates()[1::2]) > LOST, 60, "what comes then is lost")
    assert running.bytes_written < ahead + END_BYTES
    assert 0 < check_sums(RecordFile(tmp_path / "t.strc"))["getppid"] <= ahead // 48


def test_what_has_no_disk_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "file", "xb") as file:
        file.write(bytes(10_000))
        file.flush()
        assert writeback.begin(file.fileno(), 0, 10_000)
    reader, writer = os.pipe()
    try:
        assert not writeback.begin(writer, 0, 10)
    finally:
        os.close(reader)
        os.close(writer)
