"""What a new task shares with its parent, by the arguments of clone as printed, in words or raw (-X raw)."""

from __future__ import annotations

import re

_RAW_FLAGS = re.compile(rb"flags=(0x[0-9a-f]{1,16})")


def is_thread(args: bytes) -> bool:
    """Whether it is a thread of the same process (CLONE_THREAD, 0x10000)."""
    return _has(args, b"CLONE_THREAD", 0x10000)


def shares_files(args: bytes) -> bool:
    """Whether descriptors stay shared (CLONE_FILES, 0x400)."""
    return _has(args, b"CLONE_FILES", 0x400)


def is_vfork(args: bytes) -> bool:
    """Whether the parent sleeps until its child runs a program (CLONE_VFORK, 0x4000)."""
    return _has(args, b"CLONE_VFORK", 0x4000)


def _has(args: bytes, name: bytes, bit: int) -> bool:
    if name in args:
        return True
    raw = _RAW_FLAGS.search(args)
    return raw is not None and int(raw[1], 16) & bit != 0
