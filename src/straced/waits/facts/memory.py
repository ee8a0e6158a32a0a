"""Words of a target's memory: timers, addresses, futexes. Read without stopping it, from /proc/PID/mem."""

from __future__ import annotations

import os
import socket
import struct

from straced.linux.procfs import Gone
from straced.text.sanitize import scrub_bytes
from straced.waits.facts.proc import ProcReader

FREEZE_WAITS = ("percpu_rwsem_wait", "__percpu_down_read")
"""Where a write to a frozen file system sleeps; also who waits for another of the kernel's per-CPU semaphores."""


def peek(proc: ProcReader, pid: int, address: int, size: int) -> bytes | None:
    """``size`` bytes at ``address``; ``None`` when refused, unmapped, or not safe to ask for."""
    if not 0 < address < 2**63 or not memory_is_safe(proc, pid):
        return None
    try:
        fd = os.open(f"{proc.root}/{proc.where(pid, 'mem')}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        proc.refused.setdefault(pid, set()).add("mem")
        return None
    try:
        data = os.pread(fd, size, address)
    except OSError:
        return None
    finally:
        os.close(fd)
    return data if len(data) == size else None


def memory_is_safe(proc: ProcReader, pid: int) -> bool:
    """Whether memory and maps can be read without going to sleep ourselves.

    Both take the target's mmap lock. A thread in uninterruptible sleep may hold it, and we would sleep with
    it: then nothing is read. Only one that waits for a frozen file system, and is in no page fault, is known not to.
    """
    return not proc.cached("uninterruptible", pid, lambda: _any_uninterruptible(proc, pid))


def _any_uninterruptible(proc: ProcReader, pid: int) -> bool:
    try:
        return any(proc.stat(pid, tid).state == "D" and not _is_outside(proc, pid, tid) for tid in proc.tasks(pid))
    except (Gone, OSError):
        return True


def _is_outside(proc: ProcReader, pid: int, tid: int) -> bool:
    """Whether a task in state D is seen to sleep where the lock of the address space is never held."""
    stack = proc.stack(pid, tid)
    return bool(stack) and stack[0].startswith(FREEZE_WAITS) and not any("fault" in function for function in stack)


def timespec_ns(proc: ProcReader, pid: int, address: int) -> int | None:
    """A struct timespec, in nanoseconds."""
    data = peek(proc, pid, address, 16)
    if data is None:
        return None
    seconds, nanoseconds = struct.unpack("<qq", data)
    return int(seconds * 10**9 + nanoseconds) if 0 <= nanoseconds < 10**9 and 0 <= seconds < 2**40 else None


def text(proc: ProcReader, pid: int, address: int) -> bytes | None:
    """A path argument, unscrubbed, up to its NUL; read in pieces that do not cross a page."""
    found = b""
    while len(found) < 4096:
        piece = peek(proc, pid, address, 4096 - address % 4096)
        if piece is None:
            return None
        head, nul, _ = piece.partition(b"\0")
        found += head
        if nul:
            return found
        address += len(piece)
    return found


def socket_address(proc: ProcReader, pid: int, address: int, length: int) -> tuple[str, str] | None:
    """(family, name) of a struct sockaddr: ``("unix", "@name")``, ``("inet", "127.0.0.1:80")``; see unix(7)."""
    data = peek(proc, pid, address, length) if 2 <= length <= 128 else None
    if data is None:
        return None
    family = int.from_bytes(data[:2], "little")
    if family == socket.AF_UNIX:
        return "unix", unix_name(data[2:])
    if family == socket.AF_INET and length >= 8:
        return "inet", f"{socket.inet_ntop(family, data[4:8])}:{int.from_bytes(data[2:4], 'big')}"
    if family == socket.AF_INET6 and length >= 24:
        return "inet", f"[{socket.inet_ntop(family, data[8:24])}]:{int.from_bytes(data[2:4], 'big')}"
    return None


def unix_name(raw: bytes) -> str:
    """The name of a unix socket as ss prints it: ``@`` for the NUL of an abstract one."""
    if raw[:1] == b"\0":
        return "@" + scrub_bytes(raw[1:])
    return scrub_bytes(raw.split(b"\0", 1)[0])
