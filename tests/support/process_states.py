"""Real processes in the states that an attach must tell apart, and the eyes of other users on them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from straced.errors import StracedError
from straced.linux import cgroups, procfs
from tests.support.needs import require, unavailable
from tests.support.poll import until

NOBODY = 65534
LIMIT_S = 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
ARM = platform.machine() == "aarch64"
SYS_EXIT, SYS_PTRACE = (93, 117) if ARM else (60, 101)
PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 15, 22, 38
PTRACE_SEIZE = 0x4206
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
SECCOMP_ALLOW, SECCOMP_EPERM, SECCOMP_KILL = 0x7FFF0000, 0x00050001, 0x80000000


def need_root() -> None:
    require("root")


@contextlib.contextmanager
def running(*argv: str, **options: Any) -> Iterator[int]:
    """A program, killed and waited for at the end."""
    program = subprocess.Popen(argv or ("sleep", "60"), stdin=subprocess.DEVNULL, **options)
    try:
        wanted = os.path.basename(argv[0]) if argv else "sleep"
        until(lambda: procfs.stat(program.pid).comm == wanted[:15], LIMIT_S, "exec")
        yield program.pid
    finally:
        program.kill()
        program.wait()


@contextlib.contextmanager
def forked(prepare: Callable[[], object]) -> Iterator[int]:
    """A child that has done ``prepare`` and waits; killed and waited for at the end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            prepare()
            os.write(writer, b"r")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"r", "the child could not prepare itself"
        yield pid
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def zombie() -> Iterator[int]:
    """A child that ended and is not waited for."""
    program = subprocess.Popen(["true"])
    try:
        until(lambda: procfs.stat(program.pid).state == "Z", LIMIT_S, "zombie")
        yield program.pid
    finally:
        program.wait()


@contextlib.contextmanager
def leaderless() -> Iterator[int]:
    """A process whose leader exited while another thread lives."""
    reader, writer = os.pipe()
    code = f"""
import ctypes, os, threading, time
def state(): return open(f"/proc/{{os.getpid()}}/stat").read().rpartition(")")[2].split()[0]
def stay():
    while state() != "Z": time.sleep(0.001)
    os.write({writer}, b"r")
    time.sleep(60)
threading.Thread(target=stay).start()
ctypes.CDLL(None).syscall({SYS_EXIT}, 0)
"""
    program = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], pass_fds=[writer])
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"r"
        yield program.pid
    finally:
        os.close(reader)
        program.kill()
        program.wait()


def seize(pid: int) -> None:
    """Become the tracer of a process, without stopping it."""
    assert LIBC.ptrace(PTRACE_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())


def be_named(comm: str) -> None:
    assert LIBC.prctl(PR_SET_NAME, comm.encode(), 0, 0, 0) == 0


def be_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def set_dumpable(value: int) -> None:
    assert LIBC.prctl(PR_SET_DUMPABLE, value, 0, 0, 0) == 0


def refuse_ptrace(action: int = SECCOMP_EPERM) -> None:
    """Put a seccomp filter over the calling process that answers ptrace(2) with ``action``."""

    def op(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    program = op(0x20, 0, 0, 0) + op(0x15, 0, 1, SYS_PTRACE) + op(0x06, 0, 0, action) + op(0x06, 0, 0, SECCOMP_ALLOW)
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
    assert LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert LIBC.prctl(PR_SET_SECCOMP, 2, filter_program, 0, 0) == 0, os.strerror(ctypes.get_errno())


def seen_by(become: Callable[[], object], ask: Callable[[], Any]) -> Any:
    """What ``ask`` returns, or the straced error it raises, in a child that did ``become`` first."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            become()
            try:
                answer: Any = ask()
            except StracedError as error:
                answer = (type(error), error.__dict__)
            with os.fdopen(writer, "wb") as out:
                pickle.dump(answer, out)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    assert data, "the child did not answer"
    return pickle.loads(data)  # noqa: S301 - our own child wrote it


@contextlib.contextmanager
def frozen(pid: int, version: int) -> Iterator[str]:
    """A process in a frozen cgroup of v1 or v2, thawed at the end; the name of the group."""
    hierarchy, folder = _freezer(version, f"straced-test-{os.getpid()}-{pid}")
    control, stop, go = ("freezer.state", "FROZEN", "THAWED") if version == 1 else ("cgroup.freeze", "1", "0")
    home = next((path for names, path in cgroups.memberships(pid) if names == hierarchy.controllers), "/")
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        (folder / control).write_text(stop)
        until(lambda: cgroups.frozen_by(pid) is not None, LIMIT_S, "frozen")
        yield f"/{folder.name}"
    finally:
        (folder / control).write_text(go)
        Path(cgroups.folder(home, hierarchy), "cgroup.procs").write_text(str(pid))
        until(lambda: not (folder / "cgroup.procs").read_text(), LIMIT_S, "empty group")
        folder.rmdir()


def _freezer(version: int, name: str) -> tuple[cgroups.Hierarchy, Path]:
    for hierarchy in cgroups.hierarchies():
        if "freezer" in hierarchy.controllers if version == 1 else not hierarchy.controllers:
            folder = Path(hierarchy.mount, name)
            with contextlib.suppress(OSError):
                folder.mkdir()
                return hierarchy, folder
    unavailable("freezer", f"no freezer of cgroup v{version} here")


def proc_like_this(folder: Path, *, without: tuple[str, ...] = ()) -> str:
    """A /proc to change in a test: links to the real one."""
    for name in os.listdir("/proc"):
        if (name.isdecimal() or name == "self") and name not in without:
            (folder / name).symlink_to(f"/proc/{name}" if name != "self" else f"/proc/{os.getpid()}")
    kernel = folder / "sys/kernel"
    kernel.mkdir(parents=True)
    for name in ("pid_max", "random"):
        (kernel / name).symlink_to(f"/proc/sys/kernel/{name}")
    return str(folder)


def set_yama(root: str, scope: int) -> None:
    folder = Path(root, "sys/kernel/yama")
    folder.mkdir(exist_ok=True)
    (folder / "ptrace_scope").write_text(f"{scope}\n")
