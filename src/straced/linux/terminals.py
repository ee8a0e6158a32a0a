"""What waits to be read at the master side of a pseudoterminal that another process has."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_PIDFD_GETFD = 438
"""The same number on all architectures (pidfd_getfd(2))."""


def unread_bytes(pid: int, descriptor: int) -> int | None:
    """The bytes that a process could read from one of its descriptors now, without reading or changing anything.

    The right to ptrace the process is needed, and nothing is done to it: a copy of the descriptor is asked.

    Args:
        pid: the process.
        descriptor: its number of a master side (``/dev/ptmx``).

    Returns:
        The number; ``None`` where that may not be known, or is gone.
    """
    import ctypes  # only here, for it takes start-up time

    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy = ctypes.CDLL(None).syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
    finally:
        os.close(pidfd)
    if copy < 0:
        return None
    try:
        answer = fcntl.ioctl(copy, termios.FIONREAD, bytes(4))
    except OSError:
        return None
    finally:
        os.close(copy)
    return int(struct.unpack("=i", answer)[0])
