"""Marking: the entry in task storage that makes a task a target, given and taken away.

A process gets its entry through a pidfd; the ``mark`` iterator then finds its threads by object, not by number.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time

from straced.tracers.ebpf import libbpf, wire
from straced.tracers.ebpf.engine import Engine

_PASSES = 100


class Conflict(Exception):
    """The task is a target of another session of this engine already."""


class Marks:
    """The marks of one engine. Not thread-safe: the iterators share their parameters."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._library = libbpf.load()
        self._tasks_fd = engine.map_fd("tasks")
        self._iterators: dict[str, int] = {}

    def close(self) -> None:
        """Give the iterators back. Idempotent."""
        while self._iterators:
            self._library.bpf_link__destroy(self._iterators.popitem()[1])

    def claim(self, pidfd: int, process: int, owner: int, flags: int = wire.TASK_EXISTED) -> None:
        """Give the leader of a process the entry that makes it a target; ``owner`` is the process or its thread.

        Raises:
            Conflict: it has one.
            ProcessLookupError: it is gone.
        """
        state = wire.TaskState(process=process, owner=owner, flags=flags, marked_ns=time.monotonic_ns())
        key = ctypes.c_int(pidfd)
        result = self._library.bpf_map_update_elem(
            self._tasks_fd, ctypes.byref(key), ctypes.byref(state), libbpf.BPF_NOEXIST
        )
        if result == -errno.EEXIST:
            raise Conflict
        if result in (-errno.ESRCH, -errno.ENOENT):
            raise ProcessLookupError
        libbpf.check(result, "mark")

    def give_up(self, pidfd: int) -> None:
        """Take the entry of the leader of a process back."""
        key = ctypes.c_int(pidfd)
        self._library.bpf_map_delete_elem(self._tasks_fd, ctypes.byref(key))

    def process_of(self, pidfd: int) -> int:
        """The owner a process is counted into; 0 if it is no target."""
        state = wire.TaskState()
        key = ctypes.c_int(pidfd)
        result = self._library.bpf_map_lookup_elem(self._tasks_fd, ctypes.byref(key), ctypes.byref(state))
        return int(state.process) if result == 0 else 0

    def mark_threads(self, owner: int, pidfd: int) -> int:
        """Mark all threads of a claimed process, and return how many there were."""
        total = 0
        for _ in range(_PASSES):
            found = self._iterate("mark", owner, pidfd)
            total += found
            if not found:
                break
        self._engine.control.epoch += 1
        return total

    def unmark(self, session: int) -> None:
        """Take the entries of all tasks of a session away."""
        while self._iterate("unmark", session):
            pass
        self._engine.control.epoch += 1

    def _iterate(self, name: str, owner: int, pidfd: int | None = None) -> int:
        """Run a task iterator over one process, or over all tasks."""
        self._engine.control.mark_owner, self._engine.control.marked = owner, 0
        link = self._process_iterator(name, pidfd) if pidfd is not None else None
        fd = libbpf.check(self._library.bpf_iter_create(self._library.bpf_link__fd(link or self._iterator(name))), name)
        try:
            while os.read(fd, 4096):
                pass
        finally:
            os.close(fd)
            if link:
                self._library.bpf_link__destroy(link)
        return int(self._engine.control.marked)

    def _iterator(self, name: str) -> int:
        if name not in self._iterators:
            link = self._library.bpf_program__attach_iter(self._engine.program(name), None)
            self._iterators[name] = libbpf.check_pointer(link, f"iterate {name}")
        return self._iterators[name]

    def _process_iterator(self, name: str, pidfd: int) -> int | None:
        """An iterator over the threads of one process (Linux 6.1); ``None`` where there is none."""
        info = libbpf.IterTaskInfo(pid_fd=pidfd)
        options = libbpf.IterAttachOptions(
            sz=ctypes.sizeof(libbpf.IterAttachOptions),
            link_info=ctypes.addressof(info),
            link_info_len=ctypes.sizeof(info),
        )
        link: int | None = self._library.bpf_program__attach_iter(self._engine.program(name), ctypes.byref(options))
        return link
