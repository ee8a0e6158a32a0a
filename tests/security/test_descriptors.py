"""Descriptors that clients send uninvited: a close of theirs never holds up the service.

Of `service/api/acceptor.py`, `service/api/door.py`, `service/api/listening.py`, `service/api/receiver.py` and
`service/api/receivers.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.linux.credentials import Peer
from straced.linux.passed_descriptors import SO_PASSRIGHTS
from straced.service.api.link import Link
from straced.service.api.receivers import Receivers
from tests.security import fuse
from tests.security.hostile import HOSTILE, user
from tests.security.served import ends_in_time, others_are_served
from tests.service.daemon import Daemon
from tests.service.needs import needs_root
from tests.support import proc
from tests.support.poll import auntil, until

pytestmark = needs_root
SEND = """
def send(sock, data, fd):
    try:
        sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    except PermissionError:
        return False
    except OSError as error:
        assert error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ETOOMANYREFS), error
    return True
def close(fd):
    try:
        os.close(fd)
    except OSError:  # the file system is gone
        pass
def release(fd, sent):
    # ours is not the last if it was sent; else its close hangs here
    closing = threading.Thread(target=close, args=(fd,), daemon=True)
    closing.start()
    closing.join(1 if sent else 0)
def everywhere(make):
    # with a request, with half of one, on a connection that is closed at once, on more than one may have
    taken = 0
    for number in range(12):
        fd = make()
        sock = dial()
        if number % 3 == 0:
            sock.sendall(HELLO)
        sent = send(sock, HELLO if number % 2 else b"half of a fra", fd)
        release(fd, sent)
        taken += sent
        if number % 4 == 3:
            sock.close()
        KEPT.append(sock)
    for _ in range(80):
        KEPT.append(dial())
        fd = make()
        release(fd, send(KEPT[-1], HELLO, fd))
        if len(KEPT) > 80:
            KEPT[-1].close()
    print("taken" if taken else "refused", flush=True)
KEPT = []
"""
LINGERING = (
    SEND
    + """
def make():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 4))
    sock.connect(("127.0.0.1", int(sys.argv[2])))
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(1 << 16))
    except BlockingIOError:
        return sock.detach()
print("ready", flush=True)
everywhere(make)
ready()
"""
)
FUSE = (
    SEND
    + """
make = lambda: os.open(sys.argv[2], os.O_RDONLY)
release = lambda fd, sent: None  # a close of ours would hang, too
ready()
everywhere(make)
ready()
"""
)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A user's own file system, with one file."""
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", fuse.__file__, str(folder), str(HOSTILE)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.communicate()
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def passes_rights() -> bool:
    """Whether the kernel can refuse descriptors."""
    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
        return sock.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) in (0, 1)
    return False


@pytest.mark.limit(120)
def test_a_socket_that_lingers(either: Daemon, request: pytest.FixtureRequest) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as deaf:  # it outlives whoever connects
        port = deaf.getsockname()[1]
        with others_are_served(either), user(HOSTILE, LINGERING, either.socket, port) as hostile:
            expected = "refused" if "kernel" in request.node.name and passes_rights() else "taken"
            assert hostile.line() == expected
        ends_in_time(either)


@pytest.mark.limit(120)
@pytest.mark.needs("fuse")
def test_a_file_of_their_own_file_system(either: Daemon, public: Path, request: pytest.FixtureRequest) -> None:
    """Also SIGTERM is not waited for by what hangs, and it is gone when the file system is."""
    folder = public / "fuse"
    with user(HOSTILE, FUSE, either.socket, folder / "file") as hostile, mounted(folder):
        with others_are_served(either):
            expected = "refused" if "kernel" in request.node.name and passes_rights() else "taken"
            hostile.go_on()
            assert hostile.line() == expected
        ends_in_time(either)
    assert not os.path.ismount(folder)


async def test_another_door_takes_the_place_of_one_that_died(public: Path) -> None:
    """Where the kernel cannot refuse descriptors: who is in is lost with the receivers, and may come again."""
    daemon = Daemon(public)
    daemon.start(STRACED_RECEIVERS="1")
    try:
        async with daemon.client() as client:

            async def alone() -> bool:
                return (await client.status()).clients == 1

            await auntil(alone, what="whoever tried whether it answers is gone")
        assert daemon.process is not None
        (door,) = [pid for pid in proc.descendants(daemon.process.pid) if proc.parent(pid) == daemon.process.pid]
        os.kill(door, signal.SIGKILL)
        until(lambda: "door_lost" in daemon.log.read_text(), 10)
        until(daemon.answers, 10)
        async with daemon.client() as client:
            assert (await client.status()).pid == daemon.process.pid
        ends_in_time(daemon)
    finally:
        daemon.stop()


class _Closed:
    """Admits nobody, with a word."""

    def refusal_for(self, uid: int) -> bytes | None:
        return b"closed"

    def welcome(self, peer: Peer, link: Link) -> object:
        raise AssertionError("somebody was let in")

    def reopen(self) -> None:
        raise AssertionError("the door has died")


async def test_it_listens_before_it_is_said_to_be_ready(public: Path) -> None:
    """The process that accepts needs a moment to start: who comes meanwhile waits, and is not refused by the kernel."""
    path = str(public / "door")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    sock.bind(path)
    door = Receivers(sock, _Closed())
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"closed"
    finally:
        door.close()
