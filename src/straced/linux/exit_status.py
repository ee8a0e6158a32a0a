"""How a process ended, asked of its pidfd: without reaping it, and also when it is not our child."""

from __future__ import annotations

import fcntl
import os
import struct

PIDFD_GET_INFO = 0xC040FF0B
"""_IOWR(0xFF, 11, struct pidfd_info of 64 bytes); include/uapi/linux/pidfd.h, Linux 6.13."""
PIDFD_INFO_EXIT = 1 << 3
"""Linux 6.15: the exit status stays readable after the process was reaped."""
_INFO = struct.Struct("=QQ11Ii")


def of(pidfd: int) -> int | None:
    """Exit code, or minus the signal; ``None`` while it runs, or where the kernel does not tell."""
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            status: int = found.si_status
            return status if found.si_code == os.CLD_EXITED else -status
        return None
    except OSError:
        pass
    buffer = bytearray(_INFO.pack(PIDFD_INFO_EXIT, *([0] * 13)))
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, buffer)
    except OSError:
        return None
    fields = _INFO.unpack(bytes(buffer))
    mask, status = int(fields[0]), int(fields[-1])
    if not mask & PIDFD_INFO_EXIT:
        return None
    return -(status & 0x7F) if status & 0x7F else (status >> 8) & 0xFF
