"""Calls that are still inside when a recording ends: each has its record, however many there are.

Of `tracers/ebpf/record_engine.py`.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.records.values import RecordKind
from straced.syscalls import number_of
from tests.support import proc
from tests.support.poll import auntil
from tests.support.records import check_sums, recording

pytestmark = pytest.mark.needs("ebpf")
THREADS = 900
"""Their records take twice the 32 KiB in which the kernel buffers what an iterator writes."""
READERS = f"""
import os, threading
threading.stack_size(1 << 16)
def read():
    while os.read(0, 1):
        pass
for _ in range({THREADS} - 1):
    threading.Thread(target=read).start()
read()
"""
READ = str(number_of("read"))


def all_wait(process: subprocess.Popen[bytes]) -> bool:
    """Whether all threads are in their read, and have left nothing in the pipe."""
    assert process.stdin is not None
    (waiting,) = struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0" * 4))
    calls = [Path(f"/proc/{process.pid}/task/{tid}/syscall").read_text() for tid in proc.tasks(process.pid)]
    return not waiting and len(calls) == THREADS and all(call.split()[0] == READ for call in calls)


@pytest.fixture
def readers() -> Iterator[subprocess.Popen[bytes]]:
    """A program of many threads that read from one pipe."""
    with subprocess.Popen([sys.executable, "-c", READERS], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_of_many_calls_inside_none_is_missing(readers: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert readers.stdin is not None
    await auntil(lambda: all_wait(readers), what="all threads read")
    tids = set(proc.tasks(readers.pid))
    async with recording(readers.pid, tmp_path / "t.strc"):
        os.write(readers.stdin.fileno(), b"x" * (THREADS // 2))
        await auntil(lambda: all_wait(readers), what="all threads read again")
    file = RecordFile(tmp_path / "t.strc")
    check_sums(file)
    inside = [each for each in file if each.kind in {RecordKind.START, RecordKind.BEFORE} and each.result is None]
    assert Counter(each.tid for each in inside) == Counter(tids)
    assert {each.kind for each in inside} == {RecordKind.START, RecordKind.BEFORE}
