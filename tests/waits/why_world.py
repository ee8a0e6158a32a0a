"""Spawn the roles of a staged situation, wait until they rest where they should, and clean up after them."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from straced import syscalls
from straced.linux import procfs

DEADLINE_S = 30.0
PYTHON = sys.executable if os.access(sys.executable, os.X_OK) else shutil.which("python3") or sys.executable
"""Another user may not be allowed to execute the one that runs the tests; the roles need the standard library only."""

PRELUDE = """
import fcntl, os, select, signal, socket, struct, sys, threading, time
READY = int(sys.argv[1])
ARGS = sys.argv[2:]
def ready(*values):
    os.write(READY, (' '.join(map(str, values)) + chr(10)).encode())
def rest():
    while True:
        time.sleep(600)
"""


class Role:
    """A process of the stage; ``words`` is what it wrote when it was ready."""

    def __init__(self, process: subprocess.Popen[bytes], words: list[str]) -> None:
        self.process = process
        self.pid = process.pid
        self.words = words


class World:
    """All processes of one stage; leaving it kills them by pidfd, thaws and removes cgroups."""

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self.programs = programs
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def python(self, code: str, *args: object, fds: tuple[int, ...] = ()) -> Role:
        """Run Python code as a role; it has ``ready``, ``rest`` and ``ARGS``."""
        command = [PYTHON, "-I", "-S", "-c", PRELUDE + code]
        return self._spawn(command, args, fds)

    def python_in(self, *wrapper: str, code: str, args: tuple[object, ...] = (), fds: tuple[int, ...] = ()) -> Role:
        """As :meth:`python`, started by a program that becomes it, such as unshare(1)."""
        return self._spawn([*wrapper, PYTHON, "-I", "-S", "-c", PRELUDE + code], args, fds)

    def program(self, role: str, *args: object, fds: tuple[int, ...] = ()) -> Role:
        """Run a role of roles.c."""
        return self._spawn([str(self.programs), role], args, fds)

    def command(self, *argv: str, fds: tuple[int, ...] = (), **options: object) -> Role:
        """Run any program, which says nothing when it is ready."""
        process = self._start(list(argv), fds, **options)
        return Role(process, [])

    def _spawn(self, command: list[str], args: tuple[object, ...], fds: tuple[int, ...]) -> Role:
        receiving, sending = os.pipe()
        try:
            process = self._start([*command, str(sending), *map(str, args)], (*fds, sending))
        finally:
            os.close(sending)
        with os.fdopen(receiving, "rb") as file:
            if not select.select([file], [], [], DEADLINE_S)[0]:
                raise TimeoutError(f"{command[:2]} was not ready in time")
            line = file.readline().decode()
        if not line:
            raise RuntimeError(f"role {command} ended: {process.wait(5)}")
        return Role(process, line.split())

    def _start(self, argv: list[str], fds: tuple[int, ...], **options: object) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        given: dict[str, object] = {"stdin": null, "stdout": null, "stderr": null, **options}
        process = subprocess.Popen(argv, pass_fds=fds, start_new_session=True, **given)  # type: ignore[call-overload]
        self._stack.callback(self._end, process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for pid in [process.pid, *procfs.descendants(process.pid)]:
            kill(pid)
        process.wait(DEADLINE_S)
        if process.stdout:
            process.stdout.close()

    def owns(self, pid: int) -> int:
        """Have a process that is no child of ours killed at the end."""
        self._stack.callback(kill, pid)
        return pid

    def cleanup(self, function: object, *args: object) -> None:
        self._stack.callback(function, *args)  # type: ignore[arg-type]

    def pipe(self) -> tuple[int, int, str]:
        """A pipe that this process closes with :meth:`close`; (read end, write end, name)."""
        reading, writing = os.pipe()
        return reading, writing, os.readlink(f"/proc/self/fd/{reading}")

    def stop(self, pid: int) -> None:
        """Stop a process for as long as this world lasts."""
        os.kill(pid, signal.SIGSTOP)
        self._stack.callback(_resume, pid)
        self.rests(pid, states="T")

    def only_child(self, pid: int) -> int:
        """The one child of a process, once there is one."""
        self.until(lambda: len(procfs.children(pid)) == 1, f"{pid} has not one child")
        return procfs.children(pid)[0]

    def until(self, condition: object, what: str) -> None:
        """Poll a condition until its deadline."""
        end = time.monotonic() + DEADLINE_S
        while not condition():  # type: ignore[operator]
            if time.monotonic() > end:
                raise TimeoutError(what)
            time.sleep(0.002)

    def rests(self, *pids: int, states: str = "SDTtZ") -> None:
        """Wait until each of these tasks rests: its state is one of ``states`` and it did not run for a moment."""
        for pid in pids:
            self.until(lambda pid=pid: self.is_at_rest(pid, states), f"{pid} does not rest in {states}")

    def rests_in(self, calls: tuple[str, ...], *pids: int) -> None:
        """Wait until each of these tasks is in one of these system calls."""
        for pid in pids:
            self.until(lambda pid=pid: self._call(pid) in calls, f"{pid} is not in {calls}")
        self.rests(*pids)

    def _call(self, pid: int) -> str:
        words = procfs.read(f"{pid}/syscall").split()
        return syscalls.syscall_name(int(words[0])) if words[0] != b"running" else ""

    def is_at_rest(self, pid: int, states: str = "SDTtZ") -> bool:
        """Whether a task is in one of these states now, and did not run for a moment."""

        def look() -> tuple[str, bytes]:
            return procfs.stat(pid).state, procfs.read(f"{pid}/schedstat")

        before = look()
        time.sleep(0.1 if before[0] == "D" else 0.01)  # in D it may only wait for a page of its program
        return before == look() and before[0] in states


def yama_root(root: Path, *more: int) -> str:
    """A /proc of links into the real one, in which calls and memory are refused, as Yama's ptrace_scope 1 has it.

    It shows this process, its descendants, and ``more``.
    """
    root.mkdir()
    for name in ("locks", "self", "sys"):
        (root / name).symlink_to(f"/proc/{name}")
    for pid in {os.getpid(), *procfs.descendants(os.getpid()), *more}:
        with contextlib.suppress(OSError):
            _link_all(root / str(pid), Path(f"/proc/{pid}"), skip=("task",))
            (root / str(pid) / "task").mkdir()
            for tid in os.listdir(f"/proc/{pid}/task"):
                _link_all(root / str(pid) / "task" / tid, Path(f"/proc/{pid}/task/{tid}"))
    return str(root)


def _link_all(place: Path, original: Path, skip: tuple[str, ...] = ()) -> None:
    place.mkdir()
    for name in os.listdir(original):
        if name not in skip:
            # A link to itself: ELOOP is a refusal, unlike ENOENT, which would mean that the process is gone.
            (place / name).symlink_to(name if name in ("syscall", "mem", "stack") else original / name)


def close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


def _resume(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def build_roles(directory: Path) -> Path:
    """Compile roles.c."""
    program = directory / "roles"
    source = Path(__file__).with_name("roles.c")
    subprocess.run(["cc", "-O1", "-Wall", "-pthread", "-o", program, source], check=True, timeout=60)
    return program
