"""What a record tells of a call, and how a recording ends.

Of `tracers/ebpf/record_facts.py` and `tracers/ebpf/ring_drain.py`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.records.values import BlobKind, OpenDescriptor, Record, RecordKind
from straced.tracers.ebpf.record_session import RecorderOptions
from straced.tracers.ebpf.ring_drain import RingDrain
from tests.support import proc
from tests.support.poll import auntil
from tests.support.records import check_sums, recording

pytestmark = pytest.mark.needs("ebpf")
LONG = b"/" + b"x/" * 2047
"""4,095 bytes, the most that a path has."""
SPEAKER = f"""
import ctypes, os, socket, sys, time
sys.stdin.readline()
libc = ctypes.CDLL(None)
for path in (b"/there/is/no/\\xff\\x1b", {LONG!r}, {LONG!r} + b"x"):
    libc.open(path, 0)
libc.open(ctypes.c_void_p(1), 0)
libc.rename(b"/there/is/no/a", b"/there/is/no/b")
with socket.socket() as given:
    given.bind(("127.0.0.1", 0))
    given.getsockname()
pair = os.pipe()
time.sleep(0.001)
if not os.fork():
    os.execv("/bin/sh", ["sh", "-c", "exit 3"])
os.wait()
os.write(1, b"x")
sys.stdin.readline()
"""
LOOP = "import os\nwhile True: os.getppid()"


@pytest.fixture
def speaker() -> Iterator[subprocess.Popen[bytes]]:
    """A program that makes known calls once it is told to, and then waits."""
    with (
        open("/etc/passwd") as inherited,
        subprocess.Popen(
            [sys.executable, "-c", SPEAKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[inherited.fileno()],
        ) as process,
    ):
        yield process
        process.kill()


@pytest.fixture
def loop() -> Iterator[subprocess.Popen[bytes]]:
    """A program that does nothing but calls."""
    with subprocess.Popen([sys.executable, "-c", LOOP]) as process:
        yield process
        process.kill()


async def test_a_record_tells_what_its_arguments_point_to(speaker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert speaker.stdin is not None
    assert speaker.stdout is not None
    async with recording(speaker.pid, tmp_path / "t.strc"):
        os.write(speaker.stdin.fileno(), b"\n")
        await asyncio.to_thread(os.read, speaker.stdout.fileno(), 1)
        await auntil(lambda: proc.state(speaker.pid) == "S", what="it waits")
    file = RecordFile(tmp_path / "t.strc")
    check_sums(file)
    calls: dict[str, list[Record]] = {}
    for each in file:
        calls.setdefault(each.label if each.abi else each.kind.name, []).append(each)
    opened = [each for each in calls["openat"] + calls.get("open", []) if each.result == -2 or each.result == -36]
    paths = {blob.data: blob for each in opened for blob in each.blobs.values()}
    assert {b"/there/is/no/\xff\x1b", LONG} <= paths.keys()
    assert paths[LONG].cut  # the longer one, which came last
    assert any(blob.unread for each in calls["openat"] if each.result == -14 for blob in each.blobs.values())
    renamed = calls["rename"][0]
    assert [blob.data for blob in renamed.blobs.values()] == [b"/there/is/no/a", b"/there/is/no/b"]
    for name, kind in (("bind", BlobKind.ADDRESS_IN), ("getsockname", BlobKind.ADDRESS_OUT)):
        address = calls[name][0].blobs[1]
        assert (address.kind, int.from_bytes(address.data[:2], sys.byteorder)) == (kind, socket.AF_INET)
        assert address.data[4:8] == socket.inet_aton("127.0.0.1")
    assert len(calls["pipe2"][0].blobs[0].data) == 8
    begun = next(each for each in calls["execve"] if each.result == 0)
    assert (begun.blobs[0].data, begun.blobs[1].data) == (b"/bin/sh", b"sh\0-c\0exit 3\0")
    ended = next(each for each in calls["EXIT"] if each.pid == begun.pid)
    assert ended.result == 3 << 8
    last = calls["exit_group"][0]
    assert (last.kind, last.args, last.result) == (RecordKind.UNFINISHED, (3,), None)
    inside = next(each for each in calls["read"] if each.kind is RecordKind.START)
    assert (inside.args[0], inside.result, inside.duration_ns) == (0, None, None)
    mine = file.facts.processes[0]
    assert (mine.pid, mine.cwd, list(mine.threads)) == (speaker.pid, os.fsencode(os.getcwd()), [speaker.pid])
    assert OpenDescriptor(b"/etc/passwd") in mine.descriptors.values()


async def test_it_ends_at_its_size(loop: subprocess.Popen[bytes], tmp_path: Path) -> None:
    options = RecorderOptions(max_bytes=1_000_000)
    async with recording(loop.pid, tmp_path / "t.strc", options) as running:
        assert (await asyncio.wait_for(running.wait(), 60)).reason == "max_bytes"
    file = RecordFile(tmp_path / "t.strc")
    assert (tmp_path / "t.strc").stat().st_size >= 1_000_000
    check_sums(file)


async def test_it_ends_in_order_before_the_disk_is_full(loop: subprocess.Popen[bytes], tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    options = RecorderOptions(min_free_bytes=space.f_bfree * space.f_frsize - 16_000_000)
    async with recording(loop.pid, tmp_path / "t.strc", options) as running:
        assert (await asyncio.wait_for(running.wait(), 60)).reason == "disk_full"
    file = RecordFile(tmp_path / "t.strc")
    check_sums(file)
    assert file.end is not None
    assert file.end.reason == "disk_full"


async def test_a_file_that_takes_no_more_ends_it_at_a_whole_chunk(
    loop: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        async with recording(loop.pid, tmp_path / "t.strc") as running:
            assert (await asyncio.wait_for(running.wait(), 60)).reason == "file_limit"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    file = RecordFile(tmp_path / "t.strc")
    assert file.end is None
    assert all(each.label == "getppid" for each in file if each.kind is RecordKind.CALL)
    assert proc.state(loop.pid) in "RS"


async def test_a_file_that_does_not_take_the_last_records_is_said_to_all_who_end_it(
    loop: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader stands still until the end."""
    monkeypatch.setattr(RingDrain, "_run", lambda drain: drain._stop.wait(60))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with recording(loop.pid, tmp_path / "t.strc") as running:
        size = running.bytes_written
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            await auntil(
                lambda: any(running.engine.ring(cpu).head for cpu in range(running.engine.cpus)), what="it records"
            )
            endings = await asyncio.gather(running.stop(), running.stop(), running.wait())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {each.reason for each in endings} == {"file_limit"}
    assert (tmp_path / "t.strc").stat().st_size == size


async def test_where_space_returns_it_is_said_how_much_was_lost(
    loop: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader stands still until the ring has been full. The target stays on its CPU: no other ring tells of it."""
    os.sched_setaffinity(loop.pid, {min(os.sched_getaffinity(loop.pid))})
    go_on, run = threading.Event(), RingDrain._run
    monkeypatch.setattr(RingDrain, "_run", lambda drain: (go_on.wait(60), run(drain)))
    options = RecorderOptions(ring_bytes=1 << 17)
    async with recording(loop.pid, tmp_path / "t.strc", options) as running:
        engine = running.engine
        await auntil(lambda: any(engine.ring(cpu).untold for cpu in range(engine.cpus)), what="something is lost")
        go_on.set()
        size = running.bytes_written
        await auntil(lambda: running.bytes_written > size + (1 << 18), what="it goes on")
    file = RecordFile(tmp_path / "t.strc")
    check_sums(file)
    assert file.end is not None
    told = sum(each.result or 0 for each in file if each.kind is RecordKind.LOST)
    assert 0 < told <= sum(fate.lost for fate in file.end.calls.values()) + file.end.other_lost
