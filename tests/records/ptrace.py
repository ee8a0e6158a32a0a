"""The calls of ptrace(2) and memory of a tracee, by ctypes: for a recorder that needs no eBPF."""

from __future__ import annotations

import ctypes
import os
import struct

TRACEME, SETOPTIONS, SYSCALL, GETEVENTMSG, GET_SYSCALL_INFO = 0, 0x4200, 24, 0x4201, 0x420E
OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x40 | 0x100000  # SYSGOOD, FORK, VFORK, CLONE, EXEC, EXIT, EXITKILL
ENTRY, EXIT = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    """Ask the kernel, and raise what it refuses."""
    result = _libc.ptrace(request, pid, address, data)
    if result == -1:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} {pid}")
    return int(result)


def syscall_info(pid: int) -> tuple[int, tuple[int, ...]]:
    """The kind of a stop, and number and arguments at an entry, the result at an exit."""
    buffer = ctypes.create_string_buffer(128)
    ptrace(GET_SYSCALL_INFO, pid, 128, ctypes.addressof(buffer))
    kind = buffer.raw[0]
    if kind == ENTRY:
        return kind, struct.unpack_from("=7Q", buffer.raw, 24)
    return kind, struct.unpack_from("=q", buffer.raw, 24)


def event_message(pid: int) -> int:
    """What an event stop is about: the new task, or the status that a task ends with."""
    value = ctypes.c_ulong()
    ptrace(GETEVENTMSG, pid, 0, ctypes.addressof(value))
    return value.value


def memory(pid: int, address: int, length: int) -> bytes:
    """Bytes of a tracee; fewer where there are no more."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return file.read(length)
    except (OSError, ValueError, OverflowError):
        return b""


def string(pid: int, address: int, limit: int = 4095) -> bytes | None:
    """A string of a tracee, a page at a time; ``None`` where there is none."""
    found = b""
    while len(found) < limit:
        data = memory(pid, address + len(found), min(4096 - (address + len(found)) % 4096, limit - len(found)))
        if not data:
            return None
        found += data
        if 0 in data:
            return found[: found.index(0)]
    return found


def blocked(tid: int) -> int:
    """The signals that a task blocks."""
    with open(f"/proc/{tid}/status") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("SigBlk:"))


def start(argv: list[str], environment: dict[str, str], folder: str, output: int) -> int:
    """Start a program that stops before its first instruction, to be traced; return its pid."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        ptrace(SETOPTIONS, pid, 0, OPTIONS)
        return pid
    try:
        os.chdir(folder)
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null if number != 1 else output, number)
        os.closerange(3, 64)
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), 19)
        os.execve(argv[0], argv, environment)
    finally:
        os._exit(127)
