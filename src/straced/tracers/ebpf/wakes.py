"""Who woke a task the last time: the task that was in a call which can wake others, and what that call was about.

A small object of its own, loaded only by who asks for it; programs that count are not touched.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from straced import syscalls
from straced.tracers.ebpf import libbpf, libbpf_log, loading
from straced.tracers.ebpf.exec_events import INITIAL_PID_NAMESPACE

CALLS = ("futex", "futex_wake", "write", "writev", "sendto", "sendmsg", "sendmmsg", "vmsplice")
"""Calls whose first argument says what they wake for: a futex, or a descriptor."""
MOST_TASKS = 4096
_MOST_CALLS = 512


class _Record(ctypes.Structure):
    """struct wake of bpf/wakes.bpf.c."""

    _fields_ = (
        ("wakes", ctypes.c_uint64),
        ("last_ns", ctypes.c_uint64),
        ("argument", ctypes.c_uint64),
        ("call", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("pid", ctypes.c_uint32),
        ("interrupted", ctypes.c_uint32),
        ("stack", ctypes.c_uint64),
    )


class LastWake(Struct, frozen=True, kw_only=True):
    """The last time that a task was woken out of such a call."""

    pid: int
    tid: int
    call: str
    argument: int
    """The first one of the call: the address of a futex, or a descriptor of ``pid``."""
    monotonic_ns: int
    interrupted: bool = False
    """An interrupt or softirq beside the call woke it: for a reason of its own, or with what was sent over loopback."""
    wakes: int
    """How often it was woken out of such calls, by anybody."""


class WakeWatch:
    """Watches from its making to :meth:`close`.

    Args:
        tids: the tasks to be watched; those beyond the first 4,096 are left out.

    Raises:
        OSError: the kernel or the library refused, or numbers would be of another PID namespace.
    """

    def __init__(self, tids: Iterable[int]) -> None:
        if os.stat("/proc/self/ns/pid").st_ino != INITIAL_PID_NAMESPACE:
            raise OSError("not in the initial PID namespace")
        try:
            self._library = libbpf.load()
        except AttributeError as error:
            raise OSError(str(error)) from error
        self._tids = list(tids)[:MOST_TASKS]
        self._object = self._link = 0
        try:
            loading.load_and_wait(self._load)
        except OSError:
            self.close()
            raise

    def _load(self) -> None:
        elf = Path(__file__).with_name("wakes.bpf.o").read_bytes()
        library = self._library
        with libbpf_log.expecting_refusal():
            self._object = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
            libbpf.load_object(self._object)
        wanted = bytearray(_MOST_CALLS)
        for name in CALLS:
            if (number := syscalls.number_of(name, syscalls.native_abi())) is not None and number < _MOST_CALLS:
                wanted[number] = 1
        key, value = ctypes.c_uint32(0), (ctypes.c_char * _MOST_CALLS).from_buffer(wanted)
        calls = self._map(b".bss")
        libbpf.check(library.bpf_map_update_elem(calls, ctypes.byref(key), ctypes.byref(value), 0), "map .bss")
        self._wakes = self._map(b"wakes")
        for tid in self._tids:
            key, record = ctypes.c_uint32(tid), _Record()
            libbpf.check(library.bpf_map_update_elem(self._wakes, ctypes.byref(key), ctypes.byref(record), 0), "wakes")
        program = library.bpf_object__find_program_by_name(self._object, b"on_waking")
        self._link = libbpf.check_pointer(library.bpf_program__attach(program), "attach on_waking")

    def _map(self, name: bytes) -> int:
        found = libbpf.check_pointer(self._library.bpf_object__find_map_by_name(self._object, name), f"map {name!r}")
        return libbpf.check(self._library.bpf_map__fd(found), f"map {name!r}")

    def read(self) -> dict[int, LastWake]:
        """The last wake of each task that was woken out of such a call since."""
        found = {}
        for tid in self._tids:
            key, record = ctypes.c_uint32(tid), _Record()
            if (
                self._library.bpf_map_lookup_elem(self._wakes, ctypes.byref(key), ctypes.byref(record))
                or not record.wakes
            ):
                continue
            found[tid] = LastWake(
                pid=record.pid,
                tid=record.tid,
                call=syscalls.syscall_name(record.call, syscalls.native_abi()),
                argument=record.argument,
                monotonic_ns=record.last_ns,
                interrupted=bool(record.interrupted),
                wakes=record.wakes,
            )
        return found

    def close(self) -> None:
        """Detach and unload. Idempotent."""
        if self._link:
            self._library.bpf_link__destroy(self._link)
        if self._object:
            self._library.bpf_object__close(self._object)
        self._object = self._link = 0
