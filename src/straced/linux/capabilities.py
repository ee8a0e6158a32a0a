"""What this process may do: its ids and capabilities, Yama, the seccomp filter over it, and the line for sudo.

Sources: ptrace(2) "Ptrace access mode checking", capabilities(7), Documentation/admin-guide/LSM/Yama.rst.
"""

from __future__ import annotations

import errno
import functools
import os
import shlex
import signal
import subprocess
import sys

from msgspec import Struct

from straced.linux import procfs

CAPABILITIES = {"SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}
"""Numbers of include/uapi/linux/capability.h."""
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""PROC_PID_INIT_INO and PROC_USER_INIT_INO of include/linux/proc_ns.h: the same numbers everywhere since 3.8."""
SECCOMP_FILTER = 2
_PROBE_LIMIT_S = 5
_ASK = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = libc.syscall.argtypes = (ctypes.c_long,) * 4
libc.{}
print("errno", ctypes.get_errno(), flush=True)
"""
_BPF = {"x86_64": 321, "aarch64": 280}
"""The number of bpf(2), which the C library does not wrap."""


class Caller(Struct, frozen=True):
    """Who asks: real ids, since ptrace goes by them, and capabilities as bit masks."""

    pid: int
    uid: int
    gid: int
    effective: int
    permitted: int
    seccomp: int
    """0 none, 1 strict, 2 filter."""
    tracer_pid: int

    def has(self, capability: str) -> bool:
        """Whether a capability of :data:`CAPABILITIES` is in force."""
        return bool(self.effective >> CAPABILITIES[capability] & 1)


def caller(root: str = procfs.ROOT) -> Caller:
    """This process, as /proc/self/status has it."""
    lines = procfs.status("self", root)
    return Caller(
        pid=int(lines["Pid"]),
        uid=int(lines["Uid"].split()[0]),
        gid=int(lines["Gid"].split()[0]),
        effective=int(lines["CapEff"], 16),
        permitted=int(lines["CapPrm"], 16),
        seccomp=int(lines.get("Seccomp", 0)),
        tracer_pid=int(lines.get("TracerPid", 0)),
    )


def yama_scope(root: str = procfs.ROOT) -> int | None:
    """``kernel.yama.ptrace_scope``: 0 classic, 1 descendants only, 2 admins only, 3 nobody; ``None`` without Yama."""
    try:
        return int(procfs.read("sys/kernel/yama/ptrace_scope", root))
    except (procfs.Gone, OSError, ValueError):
        return None


def in_initial_pid_namespace(root: str = procfs.ROOT) -> bool:
    """Whether pid 1 is the machine's own; yes where that cannot be read, since it is the careful answer."""
    try:
        return os.readlink(f"{root}/self/ns/pid") == INITIAL_PID_NAMESPACE
    except OSError:
        return True


def shares_user_namespace(pid: int, root: str = procfs.ROOT) -> bool:
    """Whether our capabilities count on a process: they reach no further than our user namespace."""
    ours = _user_namespace("self", root)
    theirs = _user_namespace(str(pid), root)
    # Where theirs cannot be read, it is out of reach of ours, unless ours is the initial one: nothing is outside that.
    return theirs == ours if theirs is not None else ours in (None, INITIAL_USER_NAMESPACE)


def _user_namespace(pid: str, root: str) -> str | None:
    try:
        return os.readlink(f"{root}/{pid}/ns/user")
    except OSError:
        return None


@functools.cache
def ptrace_blocked() -> bool:
    """Whether a filter refuses ptrace(2) itself, whoever the target is. Asked once: 20 ms.

    PTRACE_SEIZE of a pid that cannot exist gives ESRCH where ptrace is allowed.
    """
    return _refused("ptrace(0x4206, 0x7fffffff, 0, 0)", {errno.ESRCH})


@functools.cache
def bpf_blocked() -> bool:
    """Whether a filter refuses bpf(2) to one who has the capabilities. Asked once: 20 ms.

    BPF_PROG_LOAD of nothing gives EINVAL or EFAULT where bpf is allowed.
    """
    number = _BPF.get(os.uname().machine)
    return number is not None and _refused(f"syscall({number}, 5, 0, 0)", {errno.EINVAL, errno.EFAULT, errno.E2BIG})


def _refused(call: str, allowed: set[int]) -> bool:
    """Whether a system call ends otherwise than with these errnos.

    A filter may refuse with any errno, or kill the caller (systemd's ``SystemCallFilter=`` does), which is why it is a
    child that asks.
    """
    if not sys.executable:
        return False
    command = [sys.executable, "-I", "-S", "-c", _ASK.format(call)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return False
    if done.returncode == -signal.SIGSYS:
        return True
    output = done.stdout.split()
    return len(output) == 2 and output[0] == b"errno" and int(output[1]) not in allowed


def in_initial_user_namespace(root: str = procfs.ROOT) -> bool:
    """Whether capabilities are those of the machine: eBPF goes by no others. Yes where that cannot be read."""
    return _user_namespace("self", root) in (None, INITIAL_USER_NAMESPACE)


def program() -> str:
    """Where ``straced`` is, beside the interpreter that runs."""
    return os.path.join(os.path.dirname(sys.executable), "straced")


def sudo_line(pid: int | None = None) -> str:
    """The command line that was typed, with sudo and full paths: sudo's PATH has no virtual environment."""
    command = [program()] if os.access(program(), os.X_OK) else [sys.executable, "-m", "straced"]
    if sys.argv and f"/{sys.argv[0]}".endswith(("/straced", "/straced/__main__.py")):
        return shlex.join(["sudo", *command, *sys.argv[1:]])
    return shlex.join(["sudo", *command, "attach", str(pid) if pid else "PID"])
