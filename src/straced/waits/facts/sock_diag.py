"""Dump requests over netlink, sock_diag(7), in our own network namespace or in that of another process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_CLONE_NEWNET = 0x40000000
_TIMEOUT_S = 2.0


def dump(request: bytes, pid: int | None = None) -> Iterator[bytes]:
    """The payloads of all answers; none where the kernel or our rights do not allow it.

    Args:
        request: the family's request structure, without the netlink header.
        pid: a process whose network namespace is meant; ``None`` for our own, -1 for none at all.
    """
    netlink = open_netlink(pid)
    if netlink is None:
        return
    with netlink:
        netlink.settimeout(_TIMEOUT_S)
        header = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        try:
            netlink.send(header + request)
            while True:
                data = netlink.recv(1 << 18)
                at = 0
                while at + 16 <= len(data):
                    length, kind = struct.unpack_from("=IH", data, at)
                    if kind in (_DONE, _ERROR) or length < 16:
                        return
                    yield data[at + 16 : at + length]
                    at += (length + 3) & ~3
        except OSError:
            return


def open_netlink(pid: int | None) -> socket.socket | None:
    """A netlink socket, made by a short-lived thread inside the other namespace when one is asked for.

    A socket belongs to the namespace it was made in, and setns(2) moves only the thread that calls it.
    """
    if pid is None:
        return _netlink()
    if pid < 0:
        return None
    made: list[socket.socket] = []

    def enter_and_open() -> None:
        with contextlib.suppress(OSError):
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) == 0:
                    opened = _netlink()
                    made.extend([opened] if opened else [])
            finally:
                os.close(namespace)

    thread = threading.Thread(target=enter_and_open, name="straced-netns")
    thread.start()
    thread.join()
    return made[0] if made else None


def _netlink() -> socket.socket | None:
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    except OSError:
        return None
