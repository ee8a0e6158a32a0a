"""What descriptors stand for, followed through the calls that change it.

Of `records/text/descriptors.py`, `records/text/descriptor_effects.py`, `records/text/effects.py`,
`records/text/new_descriptors.py`, `records/text/socket_effects.py`, `records/text/socket_names.py` and
`records/text/task_effects.py`.
"""

from __future__ import annotations

import socket
import struct

import msgspec
import pytest

from straced.records.text.effects import EFFECTS
from straced.records.text.lines import TextLines
from straced.records.values import Blob, BlobKind, Record, RecordKind
from tests.records.made import FD_CWD, PID, call, facts, path
from tests.records.test_text_lines import PLAIN


def name_after(number: int, *records: Record) -> str:
    """How a descriptor is written after some calls."""
    text = TextLines(facts(), PLAIN)
    made = [text.feed(record) for record in (*records, call("fsync", number, at=5.0))]
    last = b"".join([*made, text.flush()]).decode().splitlines()[-1]
    return (
        last.removeprefix("fsync(").partition(") ")[0].removesuffix(")")
        if "(deleted)" not in last
        else last[6:-5].rstrip(" )")
    )


def inet(port: int, host: str = "127.0.0.1", kind: BlobKind = BlobKind.ADDRESS_IN) -> Blob:
    return Blob(kind, struct.pack("=H", 2) + port.to_bytes(2, "big") + socket.inet_aton(host) + bytes(8))


def unix(name: bytes) -> Blob:
    return Blob(BlobKind.ADDRESS_IN, struct.pack("=H", 1) + name)


TCP = call("socket", 2, 1, 0, result=3, at=1.0)
UDP = call("socket", 2, 2, 0, result=3, at=1.0)
LOCAL = call("socket", 1, 1, 0, result=3, at=1.0)


@pytest.mark.parametrize(
    ("records", "name"),
    [
        ([TCP], "3<TCP:[?1]>"),
        ([TCP, call("bind", 3, 0x7000, 16, at=2, blobs={1: inet(80)})], "3<TCP:[127.0.0.1:80]>"),
        ([TCP, call("bind", 3, 0x7000, 16, at=2, blobs={1: inet(0)})], "3<TCP:[?1]>"),
        ([TCP, call("connect", 3, 0x7000, 16, at=2, blobs={1: inet(80)})], "3<TCP:[?->127.0.0.1:80]>"),
        ([TCP, call("connect", 3, 0x7000, 16, at=2, result=-115, blobs={1: inet(80)})], "3<TCP:[?->127.0.0.1:80]>"),
        ([TCP, call("connect", 3, 0x7000, 16, at=2, result=-111, blobs={1: inet(80)})], "3<TCP:[?1]>"),
        ([TCP, call("connect", 3, 0x7000, 16, at=2, blobs={1: inet(80)}),
          call("getsockname", 3, 0x7000, 0x8000, at=3, blobs={1: inet(9, kind=BlobKind.ADDRESS_OUT)})],
         "3<TCP:[127.0.0.1:9->127.0.0.1:80]>"),
        ([UDP, call("bind", 3, 0x7000, 16, at=2, blobs={1: inet(53, "0.0.0.0")})], "3<UDP:[0.0.0.0:53]>"),
        ([LOCAL, call("bind", 3, 0x7000, 16, at=2, blobs={1: unix(b"/run/x\0")})], '3<UNIX-STREAM:[?1,"/run/x"]>'),
        ([LOCAL, call("bind", 3, 0x7000, 16, at=2, blobs={1: unix(b"\0abs")})], '3<UNIX-STREAM:[?1,@"abs"]>'),
        ([call("socket", 2, 3, 1, result=3, at=1.0)], "3<RAW:[?1]>"),
        ([call("socket", 17, 3, 0, result=3, at=1.0)], "3<socket:[?1]>"),
        ([call("socket", 10, 0o4002, 0, result=3, at=1.0)], "3<UDPv6:[?1]>"),
        ([call("epoll_create1", 0, result=3)], "3<anon_inode:[eventpoll]>"),
        ([call("openat", FD_CWD, 0x7000, 0, result=3, blobs={1: path(b"../a/./b")})], "3</a/b>"),
        ([call("openat", FD_CWD, 0x7000, 0, result=3, blobs={1: path(b"/proc/self/fd")})], f"3</proc/{PID}/fd>"),
        ([call("openat", FD_CWD, 0x7000, 0, result=4, blobs={1: path(b"/etc")}),
          call("openat", 4, 0x7000, 0, result=3, at=2, blobs={1: path(b"x")})], "3</etc/x>"),
        ([call("openat", 9, 0x7000, 0, result=3, at=2, blobs={1: path(b"x")})], "3"),
        ([call("chdir", 0x7000, blobs={0: path(b"/etc")}),
          call("openat", FD_CWD, 0x7000, 0, result=3, at=2, blobs={1: path(b"x")})], "3</etc/x>"),
        ([call("chdir", 0x7000), call("openat", FD_CWD, 0x7000, 0, result=3, at=2, blobs={1: path(b"x")})], "3"),
    ],
)  # fmt: skip
def test_names(records: list[Record], name: str) -> None:
    assert name_after(3, *records) == name


def test_who_is_accepted() -> None:
    bind = call("bind", 3, 0x7000, 16, at=2, blobs={1: inet(80)})
    everywhere = call("bind", 3, 0x7000, 16, at=2, blobs={1: inet(80, "0.0.0.0")})
    told = call("accept", 3, 0x7000, 0x8000, result=4, at=3, blobs={1: inet(999, kind=BlobKind.ADDRESS_OUT)})
    untold = call("accept4", 3, 0, 0, 0o2000000, result=4, at=3)
    assert name_after(4, TCP, bind, told) == "4<TCP:[127.0.0.1:80->127.0.0.1:999]>"
    assert name_after(4, TCP, everywhere, told) == "4<TCP:[?->127.0.0.1:999]>"
    assert name_after(4, TCP, bind, untold) == "4<TCP:[127.0.0.1:80->?]>"
    assert name_after(4, told) == "4<socket:[?1]>"


LOST = msgspec.structs.replace(call("getpid", at=2.0), kind=RecordKind.LOST, result=7)
OPENED = call("openat", FD_CWD, 0x7000, 0, result=3, at=1.0, blobs={1: path(b"/x")})
AGAIN = call("openat", FD_CWD, 0x7000, 0, result=3, at=3.0, blobs={1: path(b"/y")})


@pytest.mark.parametrize(
    ("records", "name"),
    [
        ([OPENED, LOST], "3"),
        ([OPENED, LOST, AGAIN], "3</y>"),
        ([OPENED, call("io_uring_enter", 9, 1, result=1, at=2)], "3"),
        ([OPENED, call("close", 3, result=-4, at=2)], "3"),
        ([OPENED, call("close", 3, result=-9, at=2)], "3</x>"),
        ([OPENED, call("pidfd_getfd", 9, 9, 0, result=3, at=2)], "3"),
        ([OPENED, call("getpid", at=2, abi="i386")], "3"),
        ([call("chroot", 0x7000, blobs={0: path(b"/jail")}), AGAIN], "3"),
        ([call("chroot", 0x7000, result=-1, blobs={0: path(b"/jail")}), AGAIN], "3</y>"),
    ],
)  # fmt: skip
def test_what_may_have_changed_unseen_has_no_name(records: list[Record], name: str) -> None:
    assert name_after(3, *records) == name


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "3</x>"), ({"failed_only": True}, "3"), ({"slower_ns": 1000}, "3"), ({"calls": ("openat", "fsync")}, "3"),
        ({"calls": tuple(EFFECTS)}, "3</x>"),
    ],
)  # fmt: skip
def test_names_are_followed_where_all_that_changes_them_is_recorded(changes: dict[str, object], name: str) -> None:
    """A filter may have left out that a number was closed, and given to another file."""
    text = TextLines(msgspec.structs.replace(facts(), **changes), PLAIN)
    made = text.feed(OPENED) + text.feed(call("fsync", 3, at=2.0)) + text.flush()
    assert made.decode().splitlines()[-1].startswith(f"fsync({name})")


def test_both_ends_of_a_pipe() -> None:
    ends = Blob(BlobKind.BYTES_OUT, struct.pack("=ii", 7, 9))
    pipe = call("pipe2", 0x7000, 0o2000000, blobs={0: ends})
    assert name_after(7, pipe) == "7<pipe:[?1]>"
    assert name_after(9, pipe) == "9<pipe:[?1]>"
    assert name_after(9, call("pipe2", 0x7000, 0)) == "9"
    pair = call("socketpair", 1, 1, 0, 0x7000, blobs={3: ends})
    assert name_after(9, pair) == "9<UNIX-STREAM:[?2->?1]>"
    assert name_after(7, pair) == "7<UNIX-STREAM:[?1->?2]>"
    assert name_after(7, pair, pipe) == "7<pipe:[?3]>"


def test_copies_and_ranges() -> None:
    opened = call("openat", FD_CWD, 0x7000, 0, result=3, blobs={1: path(b"/x")})
    copied = call("dup2", 3, 8, result=8, at=2)
    assert name_after(8, opened, copied) == "8</x>"
    assert name_after(8, opened, copied, call("close", 3, at=3)) == "8</x>"
    assert name_after(8, opened, copied, call("dup2", 99, 8, result=8, at=3)) == "8"
    assert name_after(8, opened, copied, call("close_range", 5, 100, 0, at=3)) == "8"
    assert name_after(3, opened, copied, call("close_range", 5, 100, 0, at=3)) == "3</x>"
    assert name_after(9, opened, call("fcntl", 3, 1030, 9, result=9, at=2)) == "9</x>"
    unknown = call("openat", FD_CWD, 0x7000, 0, result=3, at=2, blobs={1: Blob(BlobKind.PATH, b"", unread=True)})
    assert name_after(3, opened, unknown) == "3"
