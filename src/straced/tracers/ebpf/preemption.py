"""Whether this kernel preempts programs on raw tracepoints (Linux 7.0 and later may): asked by loading one."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from straced.errors import remedy
from straced.tracers.ebpf import libbpf, libbpf_log


class _Answer(ctypes.Structure):
    """struct answer of bpf/preemption.bpf.c."""

    _fields_ = (("known", ctypes.c_uint32), ("depth", ctypes.c_uint32))


@functools.cache
def programs_are_preempted() -> bool:
    """Ask the kernel, once a process.

    Returns:
        Whether a task may be preempted inside a ``tp_btf`` program. False where the kernel cannot tell: what it skips
        is noticed then (``recursion_misses``), and said.

    Raises:
        OSError: nothing is left to ask with; the next call asks again.
    """
    if "PREEMPT" not in os.uname().version:  # include/generated/utsversion.h: such a kernel preempts none of its code
        return False
    try:
        answer = _ask()
    except OSError as error:
        if remedy(error.errno):
            raise
        return False
    return bool(answer.known) and not answer.depth


def _ask() -> _Answer:
    library = libbpf.load()
    elf = Path(__file__).with_name("preemption.bpf.o").read_bytes()
    loaded = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
    try:
        with libbpf_log.expecting_refusal():
            libbpf.load_object(loaded)
        program = library.bpf_object__find_program_by_name(loaded, b"look")
        found = libbpf.check_pointer(library.bpf_object__find_map_by_name(loaded, b".bss"), "map .bss")
        fd = libbpf.check(library.bpf_map__fd(found), "map .bss")
        link = libbpf.check_pointer(library.bpf_program__attach(program), "attach look")
        os.getppid()
        library.bpf_link__destroy(link)
        key, answer = ctypes.c_uint32(0), _Answer()
        libbpf.check(library.bpf_map_lookup_elem(fd, ctypes.byref(key), ctypes.byref(answer)), "map .bss")
        return answer
    finally:
        library.bpf_object__close(loaded)
