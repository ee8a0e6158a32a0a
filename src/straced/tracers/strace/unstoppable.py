"""Targets in uninterruptible sleep: ptrace takes them, but cannot stop them, and strace could not let go of them."""

from __future__ import annotations

import asyncio
import time

from straced import syscalls
from straced.errors import UninterruptibleTarget
from straced.linux import procfs

PATIENCE_S = 0.3
"""A task that waits for a disk, or for a child that is about to execute, is in state D for less."""
MOST_S = 5.0
"""As long as a child is about to run, which may be the one of a vfork."""
_LOOK_AGAIN_S = 0.01
_VFORK = frozenset({"vfork", "clone", "clone3"})
_VFORK_WAITS = frozenset({"kernel_clone", "wait_for_vfork_done", "_do_fork"})
Place = tuple[int, bytes]


async def refuse(pid: int) -> None:
    """Return at once unless a task of the process is in state D; then see whether it stays there.

    Raises:
        UninterruptibleTarget: it does, in one and the same wait; nothing was touched.
    """
    held = _held(pid)
    started = time.monotonic()
    while held and _waited_too_little(pid, time.monotonic() - started):
        await asyncio.sleep(_LOOK_AGAIN_S)
        held &= _held(pid)
    if held:
        raise _error(pid, min(held)[0])


def _waited_too_little(pid: int, seconds: float) -> bool:
    """Whether it may be a moment still: on a machine with much to do a vfork child waits for its turn to execute."""
    return seconds < PATIENCE_S or (seconds < MOST_S and any(_state(child) == "R" for child in procfs.children(pid)))


def _state(pid: int) -> str:
    try:
        return procfs.stat(pid).state
    except (procfs.Gone, OSError):
        return ""


def _held(pid: int) -> set[Place]:
    """The tasks in state D, each with how much it has run: in another wait it has run more."""
    found: set[Place] = set()
    try:
        tids = procfs.tasks(pid)
    except (procfs.Gone, OSError):
        return found
    for tid in tids:
        try:
            if procfs.stat(f"{pid}/task/{tid}").state == "D":
                found.add((tid, procfs.read(f"{pid}/task/{tid}/schedstat")))
        except (procfs.Gone, OSError):
            continue
    return found


def _error(pid: int, tid: int) -> UninterruptibleTarget:
    try:
        comm = procfs.stat(f"{pid}/task/{tid}").comm
    except (procfs.Gone, OSError):
        comm = "?"
    name = f"{pid} ({comm})" if tid == pid else f"thread {tid} of {pid} ({comm})"
    why_not = "a tracer could not stop it, nor let go of it"
    if _in_vfork(pid, tid):
        child = next(iter(procfs.children(pid)), None)
        hint = f"trace the child: {child}" if child is not None else f"straced why {pid}"
        reason = f"{name} is suspended by vfork until its child executes or ends: {why_not}"
        return UninterruptibleTarget(reason, hint=hint, pid=pid)
    function = _text(f"{pid}/task/{tid}/wchan")
    place = f", in {function}" if function not in ("", "0") else ""
    reason = f"{name} is in uninterruptible sleep (state D{place}): {why_not}"
    return UninterruptibleTarget(reason, hint=f"straced why {pid} says what it waits for", pid=pid)


def _in_vfork(pid: int, tid: int) -> bool:
    if _text(f"{pid}/task/{tid}/wchan") in _VFORK_WAITS:
        return True
    words = _text(f"{pid}/task/{tid}/syscall").split()
    number = int(words[0]) if words and words[0].lstrip("-").isdecimal() else -1
    return number >= 0 and syscalls.syscall_name(number, syscalls.native_abi()) in _VFORK


def _text(path: str) -> str:
    try:
        return procfs.read(path).decode("ascii", "replace").strip()
    except (procfs.Gone, OSError):
        return ""
