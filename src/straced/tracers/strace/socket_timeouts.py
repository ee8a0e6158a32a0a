"""Whether a socket of another process has a timeout: its waiting calls are not restarted then (signal(7)).

pidfd_getfd(2) lends the socket; whoever may trace a process may do that, and nothing of it is stopped.
"""

from __future__ import annotations

import ctypes
import os
import socket

from straced import syscalls
from straced.linux import procfs

_TIMES_OUT = {
    **dict.fromkeys(("read", "readv", "recvfrom", "recvmsg", "recvmmsg", "accept", "accept4"), socket.SO_RCVTIMEO),
    **dict.fromkeys(("write", "writev", "sendto", "sendmsg", "sendmmsg", "connect"), socket.SO_SNDTIMEO),
}
"""Call on a descriptor, its first argument -> the option that ends it."""
_TIMEVAL_BYTES = 16


def timed_call(pid: int, tid: int) -> str:
    """The call on a socket that has a timeout for it in which a task waits; ``""`` for none, or where none may know."""
    try:
        words = procfs.read(f"{pid}/task/{tid}/syscall").split()
        name = syscalls.syscall_name(int(words[0]), syscalls.native_abi()) if words[:1] != [b"running"] else ""
        number = int(words[1], 16) & 0xFFFFFFFF if name in _TIMES_OUT else -1
        if number < 0 or not os.readlink(f"{procfs.ROOT}/{pid}/fd/{number}").startswith("socket:"):
            return ""
        return name if _has_timeout(pid, number, _TIMES_OUT[name]) else ""
    except (procfs.Gone, OSError, ValueError, IndexError):
        return ""


def _has_timeout(pid: int, number: int, option: int) -> bool:
    """Ask the socket itself.

    Raises:
        OSError: not permitted, or it is gone.
    """
    call = syscalls.number_of("pidfd_getfd", syscalls.native_abi())
    handle = os.pidfd_open(pid)
    try:
        lent = ctypes.CDLL(None, use_errno=True).syscall(call, handle, number, 0)
    finally:
        os.close(handle)
    if lent < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(fileno=lent) as borrowed:
        return any(borrowed.getsockopt(socket.SOL_SOCKET, option, _TIMEVAL_BYTES))
