"""The way to a service: whose socket it is, and whether somebody listens there."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from straced.concurrency.shielding import within
from straced.config.paths import sockets
from straced.errors import ServiceUnreachable
from straced.linux.credentials import peer_uid

CONNECT_S = 2.0


def is_there() -> bool:
    """Look whether a service listens where one is expected; nothing is sent.

    Returns:
        Whether one of root or of this user does.
    """
    return any(_connects(path) for path in sockets())


def is_trusted(sock: socket.socket, *, named: bool) -> bool:
    """Whether a service is root's or our own, as the kernel says; root may name anybody's."""
    uid = peer_uid(sock)
    return uid in (0, os.geteuid()) or (named and os.geteuid() == 0)


async def connected(paths: Sequence[Path], *, named: bool) -> socket.socket:
    """A connection to the first service that answers.

    Args:
        paths: where it may listen.
        named: whether the caller has named it.

    Raises:
        ServiceUnreachable: none does, or it is somebody else's.
    """
    failures = []
    for path in paths:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            if not await within(CONNECT_S, _connect(sock, path)):
                raise TimeoutError
        except (OSError, TimeoutError) as error:
            sock.close()
            failures.append(f"{path}: {error.strerror or 'no answer'}")
            continue
        except BaseException:
            sock.close()
            raise
        if is_trusted(sock, named=named):  # before a word is said to it
            return sock
        failures.append(f"{path}: it is not a service of root or of yours, but of user {peer_uid(sock)}")
        sock.close()
    raise ServiceUnreachable(f"no straced service answers ({'; '.join(failures)})", hint="straced serve")


async def _connect(sock: socket.socket, path: Path) -> None:
    """Connect without blocking; EAGAIN of a unix socket means that too many wait to be accepted (connect(2))."""
    while True:
        try:
            sock.connect(str(path))
            return
        except BlockingIOError:
            await asyncio.sleep(0.01)


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(CONNECT_S)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return is_trusted(sock, named=False)
