"""How the C library keeps freed memory, for a process that is ours and runs for ever."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
LARGE_BYTES = 4 << 20


def return_large_blocks() -> None:
    """Have the C library give blocks of 4 MB and more back to the kernel as they are freed, and use all others again.

    glibc raises its threshold to the size of whatever mapped block is freed (mallopt(3), M_MMAP_THRESHOLD), and the
    next block of that size is kept in the arena of its thread. The kernel's type information, which libbpf reads anew
    for each object that it loads, has 5.5 MB: 24 MB stayed. And it gives each thread an arena of its own, in which
    nobody else can have what was freed: another 4 MB, where the interpreter lets one thread run at a time anyway. Not
    for a library: it changes the whole process. Nothing happens where the C library has no ``mallopt`` (musl returns
    such blocks by itself).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)
