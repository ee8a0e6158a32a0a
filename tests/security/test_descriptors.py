"""Descriptors that clients send uninvited: a close of theirs never holds up the service."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.service.ipc.rights import SO_PASSRIGHTS
from tests.security import fuse
from tests.security.hostile import HOSTILE, user
from tests.security.served import ends_in_time, others_are_served
from tests.service.daemon import Daemon
from tests.service.needs import needs_root

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
def everywhere(make):
    # with a request, with half of one, on a connection that is closed at once, on more than one may have
    taken = 0
    for number in range(12):
        fd = make()
        sock = dial()
        if number % 3 == 0:
            sock.sendall(HELLO)
        taken += send(sock, HELLO if number % 2 else b"half of a fra", fd)
        if number % 4 == 3:
            sock.close()
        KEPT.append(sock)
        RELEASE(fd)
    for _ in range(80):
        KEPT.append(dial())
        fd = make()
        send(KEPT[-1], HELLO, fd)
        RELEASE(fd)
        if len(KEPT) > 80:
            KEPT[-1].close()
    print("taken" if taken else "refused", flush=True)
KEPT = []
"""
LINGERING = (
    SEND
    + """
listener = socket.create_server(("127.0.0.1", 0))
def make():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 15))
    sock.connect(listener.getsockname())
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(1 << 16))
    except BlockingIOError:
        return sock.detach()
RELEASE = lambda fd: threading.Thread(target=os.close, args=(fd,), daemon=True).start()
print("ready", flush=True)
everywhere(make)
ready()
"""
)
FUSE = (
    SEND
    + """
import fcntl
def make():
    fd = os.open(sys.argv[2], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd
RELEASE = lambda fd: threading.Thread(target=os.close, args=(fd,), daemon=True).start()
ready()
everywhere(make)
ready()
"""
)


@contextlib.contextmanager
def mounted(folder: Path, never: str) -> Iterator[None]:
    """A user's own file system, with one file."""
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", fuse.__file__, str(folder), str(HOSTILE), never], stdout=subprocess.PIPE, text=True
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
    import socket

    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
        return sock.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) in (0, 1)
    return False


@pytest.mark.limit(120)
def test_a_socket_that_lingers(either: Daemon, request: pytest.FixtureRequest) -> None:
    with others_are_served(either), user(HOSTILE, LINGERING, either.socket) as hostile:
        expected = "refused" if "kernel" in request.node.name and passes_rights() else "taken"
        assert hostile.line() == expected
    ends_in_time(either)


@pytest.mark.limit(120)
@pytest.mark.needs("fuse")
@pytest.mark.parametrize("never", ["flush", "unlock"])
def test_a_file_of_their_own_file_system(
    either: Daemon, public: Path, never: str, request: pytest.FixtureRequest
) -> None:
    """Also SIGTERM is not waited for by what hangs, and it is gone when the file system is."""
    folder = public / "fuse"
    with user(HOSTILE, FUSE, either.socket, folder / "file") as hostile, mounted(folder, never):
        with others_are_served(either):
            expected = "refused" if "kernel" in request.node.name and passes_rights() else "taken"
            hostile.go_on()
            assert hostile.line() == expected
        ends_in_time(either)
    assert not os.path.ismount(folder)
