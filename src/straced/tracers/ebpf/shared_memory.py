"""The memory of a map, shared with the kernel. It takes no descriptor; Python's own mmap holds one while it lives."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from typing import Protocol


class MappedBytes(Protocol):
    """Bytes that the kernel writes too."""

    def __getitem__(self, place: slice, /) -> bytes: ...


def of(fd: int, size: int) -> ctypes.Array[ctypes.c_char]:
    """Map so many bytes of a descriptor; they are unmapped with the last reference to them.

    Raises:
        OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    length = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    address = libc.mmap(None, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_char * length).from_address(address)
    weakref.finalize(memory, libc.munmap, address, length).atexit = False  # what else ends then may look at it
    return memory
