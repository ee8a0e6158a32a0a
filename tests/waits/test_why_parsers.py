"""The texts of /proc and the messages of sock_diag, as they are and as they never should be.

Of `waits/facts/sock_diag.py`, `waits/classify/file_systems.py` and `waits/facts/file_systems.py`.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from straced.model.types import Quality, Summary, SyscallStats, Target, Window
from straced.waits.classify.syscall_args import label
from straced.waits.facts import fds, locks, sockets
from straced.waits.facts.activity import Io
from straced.waits.verdict import storms

_LOCKS = b"""1: FLOCK  ADVISORY  WRITE 12706 fe:00:2172332 0 EOF
1: -> FLOCK  ADVISORY  WRITE 12748 fe:00:2172332 0 EOF
1:  -> FLOCK  ADVISORY  WRITE 12747 fe:00:2172332 0 EOF
2: POSIX  ADVISORY  READ  900 08:01:77 100 199
3: OFDLCK ADVISORY  WRITE -1 08:01:77 150 EOF
4: LEASE  BREAKING  READ  900 08:01:78 0 EOF
"""


def test_locks() -> None:
    held, first, second, posix, ofd, lease = locks.parse(_LOCKS)
    assert (held.pid, held.device, held.inode, held.start, held.end, held.depth) == (
        12706,
        (0xFE, 0),
        2172332,
        0,
        None,
        0,
    )
    assert (first.depth, second.depth) == (1, 2)
    assert (posix.start, posix.end, ofd.pid) == (100, 199, -1)
    assert posix.conflicts(ofd)
    assert not posix.conflicts(posix)
    assert lease.flag == "BREAKING"


@given(st.binary(max_size=200))
def test_locks_of_any_form(data: bytes) -> None:
    assert all(lock.end is None or isinstance(lock.end, int) for lock in locks.parse(data))


@given(st.binary(max_size=120))
def test_socket_messages_of_any_form(data: bytes) -> None:
    for parse in (sockets.parse_unix, lambda raw: sockets.parse_inet(raw, "tcp")):
        sock = parse(data)
        assert sock is None or sock.inode >= 0


def test_a_tcp_message() -> None:
    data = struct.pack("=BBBB", 2, 1, 0, 0) + struct.pack("!HH", 80, 4711)
    data += bytes([127, 0, 0, 1]) + bytes(12) + bytes([127, 0, 0, 2]) + bytes(12) + bytes(12)
    data += struct.pack("=IIIII", 0, 7, 9, 1000, 55)
    sock = sockets.parse_inet(data, "tcp")
    assert sock is not None
    assert (sock.local, sock.remote, sock.inode) == ("127.0.0.1:80", "127.0.0.2:4711", 55)
    assert (sock.receive_queue, sock.send_queue, sock.is_local) == (7, 9, True)


@pytest.mark.parametrize(
    ("link", "kind", "inode"),
    [
        (b"pipe:[77]", "pipe", 77),
        (b"socket:[8]", "socket", 8),
        (b"anon_inode:[eventpoll]", "eventpoll", None),
        (b"anon_inode:inotify", "inotify", None),
        (b"/dev/pts/3", "tty", None),
        (b"/tmp/pipe:[77]", "file", None),
        (b"/tmp/socket:[8] (deleted)", "file", None),
    ],
)
def test_descriptors(link: bytes, kind: str, inode: int | None) -> None:
    fd = fds.describe(3, link)
    assert (fd.kind, fd.inode) == (kind, inode)


def test_call_labels() -> None:
    assert label("fcntl", (3, 7, 0, 0, 0, 0)) == "fcntl(F_SETLKW)"
    assert label("flock", (3, 2, 0, 0, 0, 0)) == "flock(LOCK_EX)"
    assert label("read", (0xFFFFFFFF00000005, 0, 0, 0, 0, 0)) == "read(5)"


def _io(calls: int, moved: int) -> Io:
    return Io(
        {"syscr": 0, "rchar": 0, "syscw": 0, "wchar": 0}, {"syscr": calls, "rchar": moved, "syscw": 0, "wchar": 0}, 2.0
    )


@pytest.mark.parametrize(
    ("calls", "moved", "kind"), [(9000, 0, "empty_reads"), (9000, 9000, "tiny_reads"), (9000, 10**7, ""), (10, 0, "")]
)
def test_storms_of_reads(calls: int, moved: int, kind: str) -> None:
    assert "".join(storm.kind for storm in storms.from_io(_io(calls, moved))) == kind


def test_storms_of_a_summary() -> None:
    rows = (
        SyscallStats(name="openat", calls=40_000, errors=36_000, errno={"ENOENT": 36_000}),
        SyscallStats(name="recvfrom", calls=900_000, errors=900_000, errno={"EAGAIN": 900_000}),
        SyscallStats(name="newfstatat", calls=40_000, errors=0, errno={}),
        SyscallStats(name="fsync", calls=400, wall_ns=1_500_000_000),
        SyscallStats(name="read", calls=40_000, errors=0),
    )
    summary = Summary(
        target=Target(pid=1, start_ticks=1, boot_id=""),
        tracer="ebpf",
        quality=Quality(kind="exact"),
        window=Window(start=0, end=2, duration_ns=2_000_000_000),
        rows=rows,
    )
    assert [storm.kind for storm in storms.from_summary(summary)] == ["search_enoent", "spin_eagain", "stat", "fsync"]
