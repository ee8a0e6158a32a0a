"""Words to the service manager, by the protocol of sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
"""A manager that does not read is not waited for."""


def notify(*lines: str) -> bool:
    """Send lines such as ``READY=1``; returns whether there was anybody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    target = f"\0{address[1:]}" if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, _DATAGRAM) as sock:
        sock.connect(target)
        sock.sendall("\n".join(lines).encode())
        return True
    return False


def reloading() -> bool:
    """``RELOADING=1`` with the moment it began, as ``Type=notify-reload`` wants it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """How often the manager wants a sign of life; ``None`` when it does not."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6 / 2
