"""What /proc says of the rights that the program of a process began with, and of its user namespace."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import struct

from straced.linux import procfs

AT_SECURE = 23
"""include/uapi/linux/auxvec.h"""
NS_GET_PARENT, NS_GET_OWNER_UID = 0xB702, 0xB704
"""include/uapi/linux/nsfs.h."""
_NAMESPACES_MAX = 33
"""So deeply user namespaces nest: kernel/user_namespace.c."""
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
        return _namespace(f"{root}/{pid}/ns/user") == _own_namespace(root)
    except OSError:
        return False


def in_namespace_of_another(pid: int, uid: int, root: str = procfs.ROOT) -> bool:
    """Whether a process is in a user namespace below ours that somebody else than ``uid`` made, or that one is in.

    No where that may not be looked at. The process may go to another namespace meanwhile, as it may afterwards.
    """
    path = f"{root}/{pid}/ns/user"
    try:
        ours = _own_namespace(root)
        if _namespace(path) == ours:
            return False
    except OSError:
        return False
    try:
        return _maker(path, ours) != uid
    except OSError:  # not below ours; or it has ended, or we lack descriptors
        return True


def _namespace(path: str | int) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


@functools.cache
def _own_namespace(root: str) -> tuple[int, int]:
    return _namespace(f"{root}/self/ns/user")


def _maker(path: str, ours: tuple[int, int]) -> int:
    """Who made the namespace, of all that one is nested in, that stands right below ours: who has all rights in it."""
    with contextlib.ExitStack() as opened:
        inner = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, inner)
        for _ in range(_NAMESPACES_MAX):
            outer: int = fcntl.ioctl(inner, NS_GET_PARENT)
            opened.callback(os.close, outer)
            if _namespace(outer) == ours:
                (maker,) = struct.unpack("I", fcntl.ioctl(inner, NS_GET_OWNER_UID, bytes(4)))
                return int(maker)
            inner = outer
    raise OSError("namespaces are nested too deeply")
