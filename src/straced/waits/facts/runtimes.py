"""Which runtime a program runs on, and which of its threads serve that runtime: collectors, compilers, signal threads.

Told from the executable's name, the files it has mapped, and, of a Go program, from the note that its linker leaves;
none of it touches a file system. A helper that rests holds nobody up, and is never taken for one who might.
"""

from __future__ import annotations

import os
import re
import struct

from straced.linux.procfs import Gone
from straced.waits.facts.memory import memory_is_safe, peek
from straced.waits.facts.snapshot import ProcSnapshot

GO, JAVA, NODE, DOTNET, PYTHON = "Go", "Java", "Node", ".NET", "Python"
_BY_NAME = {"java": JAVA, "node": NODE, "nodejs": NODE, "dotnet": DOTNET}
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")
_BY_LIBRARY = ((b"/libjvm.so", JAVA), (b"/libcoreclr.so", DOTNET), (b"/libnode.so", NODE), (b"/libpython", PYTHON))
_HELPERS = {
    JAVA: (
        *("GC Thread", "G1 ", "ParGC", "Shenandoah", "ZGC", "ZWorker", "ZDriver", "ZDirector", "ZStat", "XWorker"),
        *("VM ", "Reference Handl", "Finalizer", "Signal Dispatch", "Service Thread", "Monitor Deflati", "C1 Compiler"),
        *("C2 Compiler", "JVMCI", "Notification Th", "Common-Cleaner", "Sweeper thread", "Attach Listener", "JFR "),
    ),
    NODE: ("node", "V8Worker", "node-V8Worker", "DelayedTaskSche", "libuv-worker", "SignalInspector"),
    DOTNET: (
        *(".NET Sync", ".NET Event", ".NET Sig", ".NET Tiered", ".NET Final", ".NET Server GC", ".NET BGC"),
        *(".NET TP Gate", ".NET Timer"),
    ),
}
"""Beginnings of the names of threads, as far as the 15 bytes of a name go; the main thread is never one."""
_AT_PHDR, _AT_PHNUM = 3, 5
_PT_NOTE, _PT_PHDR = 4, 6
_HEADER_SIZE, _MOST_HEADERS, _LONGEST_NOTE = 56, 64, 4096
_GO_NOTE = b"\x04\0\0\0Go\0\0"
"""Type and name of the build id that Go's linker writes."""


def runtime_of(look: ProcSnapshot, pid: int) -> str:
    """The name of a program's runtime; ``""`` for a native program, or one that cannot be looked into."""
    return look.proc.cached("runtime", pid, lambda: _runtime_of(look, pid))


def is_helper(look: ProcSnapshot, pid: int, tid: int) -> bool:
    """Whether a thread serves the runtime and not the program."""
    names = _HELPERS.get(runtime_of(look, pid), ())
    try:
        return tid != pid and look.task(pid, tid).stat.comm.startswith(names) if names else False
    except (Gone, OSError):
        return False


def _runtime_of(look: ProcSnapshot, pid: int) -> str:
    link = look.proc.link(pid, "exe")
    if link is None:
        return ""
    name = os.fsdecode(link.removesuffix(b" (deleted)")).rpartition("/")[2]
    if name in _BY_NAME:
        return _BY_NAME[name]
    if _PYTHON.fullmatch(name):
        return PYTHON
    if not memory_is_safe(look.proc, pid):
        return ""
    maps = look.proc.optional(pid, "maps") or b""
    found = next((runtime for library, runtime in _BY_LIBRARY if library in maps), "")
    return found or (GO if _has_go_note(look, pid) else "")


def _has_go_note(look: ProcSnapshot, pid: int) -> bool:
    """Whether a note segment of the program, in its memory, is Go's (elf(5))."""
    if not look.proc.is_native(pid):
        return False
    auxv = look.proc.optional(pid, "auxv") or b""
    values = dict(struct.iter_unpack("<QQ", auxv[: len(auxv) // 16 * 16]))
    address, count = values.get(_AT_PHDR, 0), min(values.get(_AT_PHNUM, 0), _MOST_HEADERS)
    data = peek(look.proc, pid, address, count * _HEADER_SIZE) if count else None
    if data is None:
        return False
    headers = list(struct.iter_unpack("<IIQQQQQQ", data))  # type, flags, offset, vaddr, paddr, filesz, memsz, align
    base = next((address - header[3] for header in headers if header[0] == _PT_PHDR), 0)
    notes = (peek(look.proc, pid, base + h[3], min(h[6], _LONGEST_NOTE)) for h in headers if h[0] == _PT_NOTE and h[6])
    return any(_GO_NOTE in note for note in notes if note is not None)
