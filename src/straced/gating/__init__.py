"""Programs traced from their first instruction: ``gate(argv)`` wraps an argv for the caller's own spawn.

The gate process (``__main__.py``) waits until a tracer has it and then becomes the program. It fails open: on
time-out, refusal or the owner's death the program runs, profiled or not.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from straced import procfs
from straced.errors import CommandNotFound, ExecFailed
from straced.scrub import scrub

ENTRY = str(Path(__file__).parent / "__main__.py")
COMM = "straced-gate"
PATIENCE_S = 10.0
EXEC_S = 1.0
"""How long an execve that has begun may take to put its arguments where they can be read, on a crowded machine."""


def gate(argv: Sequence[str | os.PathLike[str]], *, patience_s: float = PATIENCE_S) -> list[str]:
    """Wrap a command so that it starts only once :meth:`Profiler.attach` has it, or ``patience_s`` is over.

    Args:
        argv: the command and its arguments; a name without a slash is looked up on PATH now.
        patience_s: how long the program waits for an attach before it runs unprofiled.

    Returns:
        An argv for ``subprocess``, ``asyncio.create_subprocess_exec`` or any other spawn. The process keeps its pid.

    Raises:
        CommandNotFound, ExecFailed: no such program, or not executable.
    """
    words = [os.fspath(word) for word in argv]
    path = resolve(words[0] if words else "")
    me = os.getpid()
    start = str(procfs.stat(me).start_ticks)
    python = sys.executable or "/usr/bin/python3"
    return [python, "-I", "-S", ENTRY, str(me), start, str(int(patience_s * 1000)), path, *words]


def resolve(command: str, search_path: str | None = None) -> str:
    """Find the program as a shell would, before anything is forked.

    Raises:
        CommandNotFound, ExecFailed: what a shell would end with status 127 or 126 for.
    """
    if "/" in command:
        if not os.path.exists(command):
            raise CommandNotFound(errno.ENOENT, f"{scrub(command)}: no such file")
        if os.path.isdir(command):
            raise ExecFailed(errno.EISDIR, f"{scrub(command)} is a folder, not a program")
        if not os.access(command, os.X_OK):
            raise ExecFailed(
                errno.EACCES, f"{scrub(command)} is not executable", hint=f"chmod +x {scrub(command)}, if it should be"
            )
        return command
    found = procfs.find_executable(command, search_path) if command else None
    if found is None:
        raise CommandNotFound(errno.ENOENT, f"{scrub(command) or 'an empty name'}: command not found")
    return str(found)


def program_of(pid: int) -> tuple[str, ...] | None:
    """The argv of the program behind a gate that has not opened yet; ``None`` when ``pid`` is no gate."""
    return _look(pid)[0]


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
    words = line.split(b"\0")[:-1]
    if len(words) < 9 or words[3] != os.fsencode(ENTRY):
        return None, starting
    return tuple(word.decode("utf-8", "backslashreplace") for word in words[8:]), starting


async def program_behind(pid: int) -> tuple[str, ...] | None:
    """:func:`program_of`, asked again while an execve is under way; ``None`` when ``pid`` is no gate."""
    import asyncio

    deadline = time.monotonic() + EXEC_S
    while True:
        program, starting = _look(pid)
        if not starting or time.monotonic() >= deadline:
            return program
        await asyncio.sleep(0.0005)


def is_ready(pid: int) -> bool:
    """Whether the gate waits: it sets its name right before, and nothing else makes it sleep after that."""
    try:
        stat = procfs.stat(pid)
    except procfs.Gone:
        return False
    return stat.comm == COMM and stat.state == "S"


async def wait_ready(pid: int, patience_s: float = PATIENCE_S) -> bool:
    """Wait until the gate waits; False when it has opened, gone or does not get there in time."""
    import asyncio

    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if is_ready(pid):
            return True
        if not _may_wait(pid):
            return False
        await asyncio.sleep(0.0005)
    return False


def release(pid: int) -> None:
    """Let the program run: a stop and a continue end the gate's epoll_wait with EINTR (signal(7)).

    Safe at any time: nothing is done to a process that is no gate, or none any more; a gate that has not come to its
    wait yet is opened when it has, by a thread that lives no longer than the gate's patience.
    """
    if is_ready(pid):
        _open(pid)
    elif _may_wait(pid):
        import threading

        threading.Thread(target=_open_when_ready, args=(pid,), daemon=True, name="straced-gate").start()


def _may_wait(pid: int) -> bool:
    """Whether it is a gate, or may yet become one."""
    program, starting = _look(pid)
    return program is not None or starting


def _open_when_ready(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and _may_wait(pid):
        if is_ready(pid):
            _open(pid)
            return
        time.sleep(0.001)


def _open(pid: int) -> None:
    import signal

    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if is_ready(pid):
            signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)
