"""Attach a program to a tracepoint by perf's way, which the kernel walks with preemption off.

A tracepoint is named to perf by a number that only tracefs tells; where it is mounted nowhere, it is read from a mount
that nobody else sees (fsopen(2), fsmount(2)).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct
from collections.abc import Iterator

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on all machines
_FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1
_PERF_TYPE_TRACEPOINT = 2
_PERF_FLAG_FD_CLOEXEC = 8
_ATTR = struct.Struct("=IIQQQQQIIQ")
"""struct perf_event_attr, its first version: type, size, config, and nothing asked for."""


@functools.cache
def numbers(tracepoints: tuple[str, ...]) -> dict[str, int]:
    """Read what perf calls tracepoints; they keep their numbers until the next boot.

    Args:
        tracepoints: each as below ``events`` in tracefs: ``raw_syscalls/sys_enter``.

    Raises:
        OSError: there is no tracefs that may be read, or no such tracepoint.
    """
    with _tracefs() as root:
        found = {}
        for name in tracepoints:
            fd = os.open(f"events/{name}/id", os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
            with open(fd, encoding="ascii") as file:
                found[name] = int(file.read())
        return found


def open_tracepoint(number: int) -> int:
    """Open the perf event of a tracepoint, without any sample.

    Returns:
        A descriptor for ``bpf_program__attach_perf_event``; it is the caller's to close.

    Raises:
        OSError: perf refuses.
    """
    attributes = ctypes.create_string_buffer(_ATTR.pack(_PERF_TYPE_TRACEPOINT, _ATTR.size, number, *[0] * 7))
    every_pid, some_cpu, no_group, flags = ctypes.c_int(-1), ctypes.c_int(0), ctypes.c_int(-1), _PERF_FLAG_FD_CLOEXEC
    return _call(_PERF_EVENT_OPEN[os.uname().machine], attributes, every_pid, some_cpu, no_group, ctypes.c_ulong(flags))


def may_open(tracepoints: tuple[str, ...]) -> bool:
    """Whether perf lets us have these tracepoints, found by opening one for a moment.

    Args:
        tracepoints: as for :func:`numbers`.
    """
    try:
        os.close(open_tracepoint(numbers(tracepoints)[tracepoints[0]]))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _tracefs() -> Iterator[int]:
    """A descriptor of its root."""
    for path in TRACEFS:
        if os.path.isdir(f"{path}/events"):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            break
    else:
        fd = _private_tracefs()
    try:
        yield fd
    finally:
        os.close(fd)


def _private_tracefs() -> int:
    context = _call(_FSOPEN, ctypes.c_char_p(b"tracefs"), ctypes.c_uint(_CLOEXEC))
    try:
        _call(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))
        return _call(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(_CLOEXEC), ctypes.c_uint(0))
    finally:
        os.close(context)


def _call(number: int, *arguments: object) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
