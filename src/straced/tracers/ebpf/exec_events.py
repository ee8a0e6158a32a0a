"""Programs as they begin, anywhere on the machine: a hint where to look, told by the kernel at execve.

A small object of its own, loaded only by who asks for it (a service with rules that new processes may match).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from straced.tracers.ebpf import libbpf

PAUSE_S = 0.05
"""After news, the next are waited for: a storm of programs is told in portions."""
INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode (include/linux/proc_ns.h): the numbers that the kernel tells are of that one."""
_FD = ctypes.c_uint32


class Starts:
    """Listens from :meth:`open` to :meth:`close`.

    Args:
        told: called with the pids of programs that began, on the loop.
    """

    def __init__(self, told: Callable[[list[int]], None]) -> None:
        self._told = told
        self._library = libbpf.load()
        self._callback = libbpf.RING_CALLBACK(self._received)
        self._object = self._link = self._ring = 0
        self._pids: list[int] = []
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Load and attach.

        Raises:
            OSError: the kernel refused, or numbers would be of another PID namespace.
        """
        if os.stat("/proc/self/ns/pid").st_ino != INITIAL_PID_NAMESPACE:
            raise OSError("not in the initial PID namespace")
        elf = Path(__file__).with_name("starts.bpf.o").read_bytes()
        library = self._library
        try:
            self._object = libbpf.check_pointer(library.bpf_object__open_mem(elf, len(elf), None), "open")
            libbpf.load_object(self._object)
            program = library.bpf_object__find_program_by_name(self._object, b"on_start")
            found = library.bpf_object__find_map_by_name(self._object, b"starts")
            fd = libbpf.check(library.bpf_map__fd(libbpf.check_pointer(found, "map starts")), "map starts")
            self._ring = libbpf.check_pointer(library.ring_buffer__new(fd, self._callback, None, None), "ring")
            self._link = libbpf.check_pointer(library.bpf_program__attach(program), "attach on_start")
        except OSError:
            self.close()
            raise
        self._listen()

    def close(self) -> None:
        """Detach and unload. Idempotent."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._link:
            self._library.bpf_link__destroy(self._link)
        if self._ring:
            asyncio.get_running_loop().remove_reader(self._library.ring_buffer__epoll_fd(self._ring))
            self._library.ring_buffer__free(self._ring)
        if self._object:
            self._library.bpf_object__close(self._object)
        self._object = self._link = self._ring = 0

    def _listen(self) -> None:
        self._pause = None
        loop = asyncio.get_running_loop()
        loop.add_reader(self._library.ring_buffer__epoll_fd(self._ring), self._news)

    def _news(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._library.ring_buffer__epoll_fd(self._ring))
        self._pause = loop.call_later(PAUSE_S, self._listen)
        self._library.ring_buffer__consume(self._ring)
        pids, self._pids = self._pids, []
        if pids:
            self._told(pids)

    def _received(self, _context: int, data: int, _size: int) -> int:
        self._pids.append(_FD.from_address(data).value)
        return 0
