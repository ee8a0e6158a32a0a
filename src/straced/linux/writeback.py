"""Letting the kernel write a file out while it grows.

Left alone, it lets gigabytes gather, and then makes whoever writes wait for the disk.
"""

from __future__ import annotations

import ctypes
import functools

_SYNC_FILE_RANGE_WRITE = 2


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return library


def begin(fd: int, start: int, end: int) -> bool:
    """Have a part of a file written out, without waiting for it.

    Args:
        fd: the file.
        start: of the part, in bytes.
        end: behind its last byte.

    Returns:
        whether the kernel does; it writes it out later else.
    """
    return bool(_library().sync_file_range(fd, start, end - start, _SYNC_FILE_RANGE_WRITE) == 0)
