"""Run a command under a seccomp filter that refuses system calls: ``refuse.py NR[:ARG0[:kill|hide]]... -- CMD...``.

A real filter, as a container's or a unit's: the kernel refuses, nothing in straced is replaced. ``hide``: it
answers as one that has no such call, ENOSYS.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ARM = os.uname().machine == "aarch64"
BPF, PTRACE = (280, 117) if ARM else (321, 101)
PROG_LOAD, MAP_CREATE, TEST_RUN, RAW_TRACEPOINT_OPEN, LINK_CREATE = 5, 0, 10, 17, 28
"""Commands of bpf(2), its first argument (linux/bpf.h)."""
PTRACE_INTERRUPT = 0x4207


def under(*rules: str) -> tuple[str, ...]:
    """The words that run a command under a filter."""
    return (sys.executable, __file__, *rules, "--")


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _rule(text: str) -> bytes:
    number, _, rest = text.partition(":")
    first, _, action = rest.partition(":")
    refuse = _op(RETURN, {"kill": KILL, "hide": ENOSYS}.get(action, EPERM))
    if first:  # seccomp_data: the number at 0, the low half of the first argument at 16
        refuse = _op(LOAD, 16) + _op(EQUAL, int(first, 0), 0, 1) + refuse
    return _op(LOAD, 0) + _op(EQUAL, int(number), 0, len(refuse) // 8) + refuse


def main(words: list[str]) -> None:
    at = words.index("--")
    program = b"".join(map(_rule, words[:at])) + _op(RETURN, ALLOW)
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter_program, 0, 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execvp(words[at + 1], words[at + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
