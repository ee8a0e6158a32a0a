"""By what a gate is known, whichever installation of straced made it: its command line, and what it is called.

``GATE straced-gate 1 PATIENCE_MS OWNER START_TICKS PATH ARGV...``; 1 is the version of all that stands here, of the
name it takes when it waits, and of what opens it. A gate of a version that is not known is left to fail open. Any
program may call itself that: it gets what a gate gets, a wait for it to be ready and a SIGURG, and is named as it says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from straced.linux import procfs
from straced.text.sanitize import scrub_bytes

COMM = "straced-gate"
"""What a gate calls itself right before it waits, for nothing else to make it sleep after that."""
VERSION = "1"
SHELL = (
    "/bin/sh",
    "-c",
    '[ -x "$1" ] && exec "$@"; program=$7; shift 8; exec "$program" "$@"',
    "sh",
)
"""Stands before a gate that some user may not be able to execute: he gets the program at once."""
EXEC_S = 1.0
"""How long an execve that has begun may take to put its arguments where they can be read, on a crowded machine."""

_MARK = [os.fsencode(COMM), os.fsencode(VERSION)]
_SHELL = [os.fsencode(word) for word in SHELL]
_PROGRAM = 7


def words(patience_ms: int, owner: int, start_ticks: int, path: str, argv: Sequence[str]) -> list[str]:
    """What follows the gate's own path."""
    return [COMM, VERSION, str(patience_ms), str(owner), str(start_ticks), path, *argv]


def program_of(pid: int) -> tuple[str, ...] | None:
    """The argv of the program behind a gate that has not opened yet; ``None`` when ``pid`` is no gate."""
    return _look(pid)[0]


def may_wait(pid: int) -> bool:
    """Whether it is a gate, or may yet become one."""
    program, starting = _look(pid)
    return program is not None or starting


async def program_behind(pid: int) -> tuple[str, ...] | None:
    """:func:`program_of`, asked again while an execve is under way; ``None`` when ``pid`` is no gate."""
    import asyncio

    deadline = time.monotonic() + EXEC_S
    while True:
        program, starting = _look(pid)
        if not starting or time.monotonic() >= deadline:
            return program
        await asyncio.sleep(0.0005)


def _look(pid: int) -> tuple[tuple[str, ...] | None, bool]:
    """The program behind a gate, and whether ``pid`` is in the middle of an execve: it may become a gate then.

    A parent hears of a successful execve when the descriptors with FD_CLOEXEC are closed; the arguments can be read
    only after that (fs/exec.c, begin_new_exec; fs/binfmt_elf.c, create_elf_tables). In between cmdline is empty, as
    it is for zombies and kernel threads, which have no executable. One reading tells both: between two of them the
    execve may come to its end, and a gate would be taken for none.
    """
    try:
        line = procfs.read(f"{pid}/cmdline")
        starting = not line and bool(os.readlink(f"/proc/{pid}/exe"))
    except (procfs.Gone, OSError):
        return None, False
    program = _program_in(line)
    return (None if program is None else tuple(scrub_bytes(word) for word in program)), starting


def _program_in(cmdline: bytes) -> list[bytes] | None:
    found = cmdline.split(b"\0")
    if found[:4] == _SHELL:
        del found[:4]
    if len(found) <= _PROGRAM or found[1:3] != _MARK:
        return None
    return found[_PROGRAM:-1] or None
