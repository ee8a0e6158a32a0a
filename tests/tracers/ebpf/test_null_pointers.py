"""What a call does without is not looked for: a read of address 0 is a fault of the kernel, dearer than the call."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.tracers.ebpf import perf_events
from tests.support.records import check_sums, recording

pytestmark = pytest.mark.needs("ebpf")
CALLS = 500
RECEIVER = f"""
import socket, sys
one, other = socket.socketpair()
one.setblocking(False)
sys.stdin.readline()
for _ in range({CALLS}):
    try:
        one.recv(1)
    except BlockingIOError:
        pass
"""
FAULTS = "exceptions/page_fault_kernel"


@contextmanager
def faults_of_the_kernel(pid: int) -> Iterator[int]:
    """A descriptor that tells, in 8 bytes, how many there were while this process ran."""
    try:
        number = perf_events.numbers((FAULTS,))[FAULTS]
    except FileNotFoundError:
        pytest.skip(f"{os.uname().machine} has no {FAULTS}")
    call = perf_events._PERF_EVENT_OPEN[os.uname().machine]
    attributes = ctypes.create_string_buffer(
        perf_events._ATTR.pack(perf_events._PERF_TYPE_TRACEPOINT, perf_events._ATTR.size, number, *[0] * 7)
    )
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(call, attributes, ctypes.c_int(pid), ctypes.c_int(-1), ctypes.c_int(-1), ctypes.c_ulong(0))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.fixture
def receiver() -> Iterator[subprocess.Popen[bytes]]:
    """A program that receives nothing, over and over, once it is told to."""
    with subprocess.Popen([sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_an_address_that_nobody_wants_costs_no_fault(receiver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """recv(2) is a recvfrom(2) without an address, whose length would be read at its begin."""
    with faults_of_the_kernel(receiver.pid) as faults:
        async with recording(receiver.pid, tmp_path / "t.strc"):
            await asyncio.to_thread(receiver.communicate, b"\n", 60)
        (found,) = struct.unpack("Q", os.read(faults, 8))
    assert check_sums(RecordFile(tmp_path / "t.strc"))["recvfrom"] == CALLS
    assert found < CALLS / 2
