"""How much room a full trace must leave to others on the file system of its file."""

from __future__ import annotations

import os
import stat

from straced.errors import OutputError
from straced.text.units import format_bytes

MIN_FREE_BYTES = 64 * 1000 * 1000
"""Left free where nothing else was asked for; on a small file system a twentieth of it."""


def floor_bytes(fd: int, wanted: int | None) -> int | None:
    """The room to leave free beside the file ``fd``; ``None`` for a pipe or a terminal.

    Raises:
        OutputError: there is no more than that already.
    """
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return None
    space = os.fstatvfs(fd)
    floor = min(MIN_FREE_BYTES, space.f_blocks * space.f_frsize // 20) if wanted is None else wanted
    if (free := free_bytes(space)) is not None and free <= floor:
        raise OutputError(
            f"the disk is nearly full: {format_bytes(free)} are free, and a trace leaves {format_bytes(floor)}",
            hint="write it elsewhere, or let it leave less: min_free_bytes=1_000_000",
        )
    return floor


def free_bytes(space: os.statvfs_result) -> int | None:
    """What this process may still write there; ``None`` for a file system without a size."""
    free = (space.f_bavail if os.geteuid() else space.f_bfree) * space.f_frsize
    return free if space.f_blocks else None
