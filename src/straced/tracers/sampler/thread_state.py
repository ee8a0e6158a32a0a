"""One look at a thread: what it does now, as closely as the caller may know.

What it waits in stands in /proc/PID/task/TID/syscall, for those who may ptrace it. Else ``wchan`` names the place in
the kernel, and else there is the state only. Source: proc(5).
"""

from __future__ import annotations

from msgspec import Struct

from straced.linux import procfs
from straced.syscalls import native_abi, syscall_name

ON_CPU = "(on CPU)"
"""A running task: which call it is in, if any, cannot be seen."""
_STATES = {"R": ON_CPU, "S": "(sleeping)", "D": "(disk sleep)", "T": "(stopped)", "t": "(traced)", "I": "(idle)"}
METHODS = ("syscall", "wchan", "state")


class ThreadState(Struct, frozen=True):
    """What one look at a thread showed."""

    name: str
    nr: int | None
    abi: str
    method: str


def look(pid: int, tid: int, abi: str, root: str = procfs.ROOT) -> ThreadState:
    """What a thread does now, as closely as the caller may know.

    Raises:
        procfs.Gone: it ended.
    """
    try:
        words = procfs.read(f"{pid}/task/{tid}/syscall", root).split()
        if words and words[0].lstrip(b"-").isdigit():
            number = int(words[0])
            if number >= 0:
                return ThreadState(syscall_name(number, abi), number, abi, "syscall")
            return ThreadState("(page fault)", None, abi, "syscall")
        if words:
            return ThreadState(ON_CPU, None, abi, "syscall")
    except (OSError, procfs.Gone):
        pass  # not permitted, or a kernel without the file; the state below tells whether the thread is gone
    state = procfs.stat(f"{pid}/task/{tid}", root).state
    if state in "SD":
        try:
            place = procfs.read(f"{pid}/task/{tid}/wchan", root).decode("ascii", "replace")
        except (OSError, procfs.Gone):
            place = ""
        if place not in ("", "0"):
            return ThreadState(f"({place})", None, abi, "wchan")
    return ThreadState(_STATES.get(state, f"(state {state})"), None, abi, "state")


def abi_of(pid: int, root: str = procfs.ROOT) -> str:
    """The ABI of a program by its ELF class; the machine's own where that cannot be read."""
    try:
        with open(f"{root}/{pid}/exe", "rb") as file:
            narrow = file.read(5)[4:] == b"\x01"
    except OSError:
        narrow = False
    return {"x86_64": "i386", "arm64": "arm"}[native_abi()] if narrow else native_abi()
