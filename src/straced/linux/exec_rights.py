"""What /proc says of the rights that the program of a process began with, and of its user namespace."""

from __future__ import annotations

import os
import struct

from straced.linux import procfs

AT_SECURE = 23
"""include/uapi/linux/auxvec.h"""
_AUXV_BYTES = 1024
_SECURE = tuple(struct.pack(f"=2{word}", AT_SECURE, 1) for word in "QI")
"""That entry; a 32-bit program has entries of 32 bits."""


def began_secure(pid: int, root: str = procfs.ROOT) -> bool:
    """Whether the program of a process was given rights by its execve: set-user-ID, set-group-ID, file capabilities.

    The kernel notes it down for the dynamic linker, and there it stays, whatever the program drops, for its forks, too.

    One that we may not look into has more rights than we have.

    Raises:
        Gone: there is no such process.
    """
    try:
        data = procfs.read_small(f"{pid}/auxv", root, _AUXV_BYTES)
    except PermissionError:
        return True
    return any(_stands_in(data, entry) for entry in _SECURE)


def _stands_in(data: bytes, entry: bytes) -> bool:
    place = data.find(entry)
    while place >= 0 and place % len(entry):  # the end of one entry, and the beginning of the next
        place = data.find(entry, place + 1)
    return place >= 0


def shares_user_namespace(pid: int, root: str = procfs.ROOT) -> bool:
    """Whether the capabilities of a process are worth what they say: whoever makes a user namespace has all in it."""
    try:
        theirs, ours = (os.stat(f"{root}/{each}/ns/user") for each in (pid, "self"))
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
