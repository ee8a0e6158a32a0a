"""ctypes signatures of the system's libbpf.so.1, and nothing else: no policy here.

Functions that return a pointer give ``None`` and set errno on failure; the others return a negative errno (libbpf 1.0
and later).
"""

from __future__ import annotations

import ctypes
import functools
import os
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

from straced.linux import capabilities
from straced.tracers.ebpf import libbpf_log

SONAME = "libbpf.so.1"
BPF_NOEXIST = 1
RING_CALLBACK = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class TestRunOptions(ctypes.Structure):
    """struct bpf_test_run_opts (libbpf's bpf.h)."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class IterTaskInfo(ctypes.Structure):
    """The ``task`` member of union bpf_iter_link_info (linux/bpf.h, 6.1 and later)."""

    _fields_ = (("tid", c_uint32), ("pid", c_uint32), ("pid_fd", c_uint32), ("padding", c_uint32))


class IterAttachOptions(ctypes.Structure):
    """struct bpf_iter_attach_opts (libbpf.h)."""

    _fields_ = (("sz", c_size_t), ("link_info", c_void_p), ("link_info_len", c_uint32))


class ProgramInfo(ctypes.Structure):
    """struct bpf_prog_info (linux/bpf.h) up to ``recursion_misses``."""

    _fields_ = (("head", ctypes.c_uint8 * 208), ("recursion_misses", c_uint64))


_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "bpf_object__open_mem": (c_void_p, (c_char_p, c_size_t, c_void_p)),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_object__find_map_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_program__attach": (c_void_p, (c_void_p,)),
    "bpf_program__attach_perf_event": (c_void_p, (c_void_p, c_int)),
    "bpf_program__attach_iter": (c_void_p, (c_void_p, c_void_p)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__set_attach_target": (c_int, (c_void_p, c_int, c_char_p)),
    "bpf_program__set_autoload": (c_int, (c_void_p, ctypes.c_bool)),
    "bpf_link__fd": (c_int, (c_void_p,)),
    "bpf_link__destroy": (c_int, (c_void_p,)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__reuse_fd": (c_int, (c_void_p, c_int)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_value_size": (c_int, (c_void_p, c_uint32)),
    "bpf_map__initial_value": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_batch": (c_int, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_iter_create": (c_int, (c_int,)),
    "bpf_prog_test_run_opts": (c_int, (c_int, c_void_p)),
    "bpf_obj_get_info_by_fd": (c_int, (c_int, c_void_p, POINTER(c_uint32))),
    "ring_buffer__new": (c_void_p, (c_int, RING_CALLBACK, c_void_p, c_void_p)),
    "ring_buffer__consume": (c_int, (c_void_p,)),
    "ring_buffer__epoll_fd": (c_int, (c_void_p,)),
    "ring_buffer__free": (None, (c_void_p,)),
    "libbpf_probe_bpf_helper": (c_int, (c_int, c_int, c_void_p)),
    "libbpf_probe_bpf_map_type": (c_int, (c_int, c_void_p)),
    "libbpf_set_print": (c_void_p, (libbpf_log.PRINTER,)),
    "libbpf_version_string": (c_char_p, ()),
}


@functools.cache
def load() -> ctypes.CDLL:
    """Open the library and declare its functions.

    Raises:
        OSError: no such library.
        AttributeError: one that lacks a function; too old.
    """
    library = ctypes.CDLL(SONAME, use_errno=True)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    library.libbpf_set_print(libbpf_log.PRINT)
    return library


def version() -> str:
    """``1.1``; the loaded library's own word for it."""
    text: bytes = load().libbpf_version_string()
    return text.decode("ascii", "replace").lstrip("v")


def check(result: int, what: str) -> int:
    """Raise an OSError of a negative errno; return anything else."""
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result


def load_object(opened: int) -> None:
    """Load what is in an opened object.

    Of what this kernel lacks, libbpf asks the types of its modules, which takes CAP_SYS_ADMIN; before 1.3 it gives the
    object up when that is refused, though it can do without. It asks once an object only: so it is asked for something
    that is nowhere, and refused, before it matters.

    Raises:
        OSError: the kernel, or libbpf, refused.
    """
    library = load()
    if not capabilities.caller().has("SYS_ADMIN"):
        with libbpf_log.expecting_refusal():
            library.bpf_program__set_attach_target(library.bpf_object__next_program(opened, None), 0, b"_nowhere_")
    check(library.bpf_object__load(opened), "load")


def check_pointer(pointer: int | None, what: str) -> int:
    """Raise an OSError of errno for a null pointer."""
    if not pointer:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return pointer
