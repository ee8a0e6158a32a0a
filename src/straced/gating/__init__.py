"""Programs traced from their first instruction: ``gate(argv)`` wraps an argv for the caller's own spawn.

The gate process (``gate/gate.c``) waits until a tracer has it and then becomes the program. It fails open: on
time-out, refusal or the owner's death the program runs, profiled or not.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence

from straced.errors import CommandNotFound, ExecFailed, InvalidArgument
from straced.gating import helper, protocol
from straced.gating.asks import COUNTS, LATE, TRACE, Ask, asking, refused, remember, was_gate
from straced.gating.opening import release, shut
from straced.gating.protocol import program_behind, program_of
from straced.gating.waiting import is_ready, wait_ready
from straced.linux import procfs
from straced.text.sanitize import scrub

__all__ = [
    "COUNTS",
    "LATE",
    "PATIENCE_S",
    "TRACE",
    "Ask",
    "asking",
    "gate",
    "is_ready",
    "program_behind",
    "program_of",
    "refused",
    "release",
    "remember",
    "resolve",
    "shut",
    "wait_ready",
    "was_gate",
]

PATIENCE_S = 10.0
LONGEST_S = 86400.0 * 24
"""epoll_wait(2) takes milliseconds in 31 bits."""


def gate(argv: Sequence[str | os.PathLike[str]], *, patience_s: float = PATIENCE_S) -> list[str]:
    """Wrap a command so that it starts only once :meth:`Profiler.attach` has it, or ``patience_s`` is over.

    Args:
        argv: the command and its arguments; a name without a slash is looked up on PATH now.
        patience_s: how long the program waits for an attach before it runs unprofiled.

    Returns:
        An argv for ``subprocess``, ``asyncio.create_subprocess_exec`` or any other spawn. The process keeps its pid.
        On a machine that straced has no gate for, the command itself: what it does before the attach is not seen.

    Raises:
        CommandNotFound, ExecFailed: no such program, or not executable.
        InvalidArgument: a patience that is no time to wait.
    """
    if not (math.isfinite(patience_s) and 0 <= patience_s <= LONGEST_S):
        raise InvalidArgument(f"a patience of {patience_s} s", hint=f"0 to {LONGEST_S:.0f} seconds")
    words = [os.fspath(word) for word in argv]
    path = resolve(words[0] if words else "")
    me = os.getpid()
    gated = protocol.words(int(patience_s * 1000), me, procfs.stat(me).start_ticks, path, words)
    place = helper.find()
    if place is None:
        return words
    return [place.path, *gated] if place.certain else [*protocol.SHELL, place.path, *gated]


def resolve(command: str, search_path: str | None = None) -> str:
    """Find the program as a shell would, before anything is forked.

    Raises:
        CommandNotFound, ExecFailed: what a shell would end with status 127 or 126 for.
    """
    if "/" in command:
        if not os.path.exists(command):
            raise CommandNotFound(errno.ENOENT, f"{scrub(command)}: no such file")
        if os.path.isdir(command):
            raise ExecFailed(errno.EISDIR, f"{scrub(command)} is a directory, not a program")
        if not os.access(command, os.X_OK):
            raise ExecFailed(
                errno.EACCES, f"{scrub(command)} is not executable", hint=f"chmod +x {scrub(command)}, if it should be"
            )
        return command
    found = procfs.find_executable(command, search_path) if command else None
    if found is None:
        raise CommandNotFound(errno.ENOENT, f"{scrub(command) or 'an empty name'}: command not found")
    return str(found)
