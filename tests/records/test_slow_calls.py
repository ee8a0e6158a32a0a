"""A slow call from the bytes that the kernel's programs wrote.

Of `records/slow_calls.py`, `records/names.py` and `records/subjects.py`.
"""

from __future__ import annotations

import socket
import stat
import struct
from typing import Any

import pytest

from straced.model.slow import SlowSyscall
from straced.records.names import of_address, of_file, of_socket
from straced.records.slow_calls import HERE, SlowCallReader
from straced.records.subjects import MADE_TO_WAIT, descriptors_of, is_from_here
from straced.records.values import Blob, BlobKind, Record, RecordKind


def file(*pieces: bytes, mode: int = stat.S_IFREG, flags: int = 0, magic: int = 0xEF53, cut: bool = False) -> Blob:
    """A file of a directory tree, the last name first."""
    data = struct.pack("=IIQQII", mode, flags, 77, magic, 1, len(pieces)) + b"".join(each + b"\0" for each in pieces)
    return Blob(BlobKind.FILE, data, cut=cut)


def connection(family: int, kind: int, protocol: int, ends: Any, name: bytes = b"", *, of_peer: int = 0) -> Blob:
    """A socket between two ends, each an address and a port."""
    (local, local_port), (peer, peer_port) = ends
    head = struct.pack("=6HIQ16s16s", family, kind, protocol, 1, local_port, peer_port, of_peer, 88, local, peer)
    return Blob(BlobKind.SOCKET, head + name)


def slow(
    number: int, args: tuple[int, ...], blobs: dict[int, Blob], result: int | None = 0, **kwargs: Any
) -> SlowSyscall:
    """What is told of a call of x86-64."""
    kind = RecordKind.CALL if result is not None else RecordKind.START
    record = Record(
        kind=kind, sequence=0, cpu=0, tid=8, pid=7, abi="x86_64", number=number, args=args, start_ns=5, end_ns=30,
        duration_ns=25 if result is not None else None, waiting_ns=20, result=result, blobs=blobs,
    )  # fmt: skip
    return SlowCallReader(**kwargs).read(record, b"job\x1b")


FSYNC, READ, OPENAT, OPEN, CONNECT, EXECVE = 74, 0, 257, 2, 42, 59


def test_a_file() -> None:
    found = slow(FSYNC, (4, 9, 9, 9, 9, 9), {0: file(b"wal", b"db", b"srv")})
    assert (found.path, found.call, found.peer) == ("/srv/db/wal", "fsync(4</srv/db/wal>)", None)
    assert (found.pid, found.tid, found.comm, found.duration_ns, found.waiting_ns) == (7, 8, "job\\x1b", 25, 20)


def test_a_relative_path_begins_where_the_call_began() -> None:
    blobs = {1: Blob(BlobKind.PATH, b"../x"), 0: file(b"here", b"srv", mode=stat.S_IFDIR)}
    found = slow(OPENAT, ((1 << 64) - 100, 1, 0, 0), blobs, -2)
    assert (found.path, found.errno) == ("/srv/x", "ENOENT")
    assert found.call == 'openat(AT_FDCWD</srv/here>, "../x", O_RDONLY)'
    blobs = {0: Blob(BlobKind.PATH, b"x"), HERE: file(b"there", mode=stat.S_IFDIR)}
    assert slow(OPEN, (1, 0, 0), blobs).path == "/there/x"


def test_what_is_not_known_is_not_guessed() -> None:
    found = slow(READ, (3, 1, 10), {})
    assert (found.path, found.peer, found.call) == (None, None, 'read(3, "", 10)')
    found = slow(OPENAT, (3, 4096, 0, 0), {1: Blob(BlobKind.PATH, b"", unread=True)})
    assert (found.path, found.call) == (None, "openat(3, 0x1000, O_RDONLY)")
    assert of_file(Blob(BlobKind.FILE, b"short")) is None
    assert of_socket(Blob(BlobKind.SOCKET, b"short")) is None


@pytest.mark.parametrize(
    ("blob", "path", "kind"),
    [
        (file(b"", mode=stat.S_IFIFO, magic=0x50495045), b"pipe:[77]", "pipe"),
        (file(b"q", b"srv", mode=stat.S_IFIFO), b"/srv/q", "pipe"),
        (file(b"[eventpoll]", magic=0x09041934), b"anon_inode:[eventpoll]", "anonymous"),
        (file(b"gone", b"tmp", flags=1), b"/tmp/gone (deleted)", "file"),
        (file(b"c", b"b", cut=True), b".../b/c", "file"),
        (file(b"3", b"pts", b"dev", mode=stat.S_IFCHR), b"/dev/pts/3", "terminal"),
        (file(mode=stat.S_IFDIR), b"/", "directory"),
    ],
)
def test_kinds_of_files(blob: Blob, path: bytes, kind: str) -> None:
    found = of_file(blob)
    assert found is not None
    assert (found.path, found.kind) == (path, kind)


def test_kinds_of_sockets() -> None:
    four = socket.inet_aton("10.0.0.7").ljust(16, b"\0"), 5432
    six = socket.inet_pton(socket.AF_INET6, "fe80::1"), 80
    none = bytes(16), 0
    found = of_socket(connection(2, 1, 6, (four, four)))
    assert found is not None
    assert (found.text, found.peer) == ("TCP:[10.0.0.7:5432->10.0.0.7:5432]", "tcp 10.0.0.7:5432")
    found = of_socket(connection(10, 2, 17, (six, none)))
    assert found is not None
    assert (found.text, found.peer) == ("UDPv6:[[fe80::1]:80]", "udp [fe80::1]:80")
    found = of_socket(connection(1, 1, 0, (none, none), b"\1\0/run/x\0", of_peer=1))
    assert found is not None
    assert (found.text, found.peer) == ("UNIX-STREAM:[88]", "unix /run/x")
    found = of_socket(connection(1, 2, 0, (none, none), b"\1\0\0name"))
    assert found is not None
    assert (found.text, found.peer) == ('UNIX:[88,"@name"]', "unix @name")
    found = of_socket(connection(16, 3, 0, (none, none)))
    assert found is not None
    assert (found.text, found.peer) == ("NETLINK:[88]", "")


def test_a_peer_that_is_given() -> None:
    given = b"\2\0\0\x50\x0a\0\0\7" + bytes(8)
    found = slow(
        CONNECT,
        (3, 1, 16),
        {0: connection(2, 1, 6, ((bytes(16), 0), (bytes(16), 0))), 1: Blob(BlobKind.ADDRESS_IN, given)},
        -110,
    )
    assert (found.peer, found.errno) == ("tcp 10.0.0.7:80", "ETIMEDOUT")
    assert of_address(b"\1\0/run/y\0") == "unix /run/y"
    assert of_address(b"\x11\0") == ""


def test_a_program_that_has_begun() -> None:
    found = slow(EXECVE, (), {0: file(b"sh", b"bin")})
    assert (found.path, found.call) == ("/bin/sh", 'execve("/bin/sh", [...], [...])')


def test_one_that_is_inside() -> None:
    found = slow(READ, (3, 1, 10), {0: file(b"x")}, None)
    assert (found.inside, found.result, found.duration_ns, found.call) == (True, None, 25, "read(3</x>, ...")


def test_secrets_are_left_out_for_others() -> None:
    found = slow(FSYNC, (4,), {0: file(b"notes", b"alice", b"home")}, redacted=True)
    assert (found.path, found.call) == ("/home/***/notes", "fsync(4</home/***/notes>)")


def test_which_arguments_are_descriptors() -> None:
    assert descriptors_of("renameat2") == (0, 2)
    assert descriptors_of("openat") == descriptors_of("sendto") == descriptors_of("fsync") == (0,)
    assert descriptors_of("getpid") == descriptors_of("no_such_call") == ()
    assert not is_from_here("openat")
    assert is_from_here("open")
    assert is_from_here("symlinkat")
    assert {"epoll_wait", "futex", "accept4"} <= MADE_TO_WAIT
    assert "recvfrom" not in MADE_TO_WAIT
