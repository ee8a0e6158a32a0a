"""Marking: the entry in task storage that makes a task a target, given and taken away.

A process gets its entry through a pidfd; the ``mark`` iterator then finds its threads by object, not by number.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
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
        self._reserve: int | None = None
        """A descriptor to let go with when there is no other."""
        self._iterator("unmark")
        self._refill()

    def __del__(self) -> None:
        if self._engine.mine and not sys.is_finalizing():
            self.close()

    def close(self) -> None:
        """Give the iterators back. Idempotent."""
        self._free_reserve()
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
            self._engine.control.whole = 1  # as long as no thread is visited: then there is none
            found = self._iterate("mark", owner, pidfd)
            total += found
            if not found and self._engine.control.whole:
                break
        else:
            self._engine.control.lost_tasks += 1
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
        try:
            self._run(link or self._iterator(name), name)
        finally:
            if link:
                self._library.bpf_link__destroy(link)
            else:
                self._engine.control.whole = 1  # over all tasks, by their numbers, no pass ends early
        return int(self._engine.control.marked)

    def _run(self, link: int, name: str) -> None:
        link_fd = self._library.bpf_link__fd(link)
        fd = self._library.bpf_iter_create(link_fd)
        if fd in (-errno.EMFILE, -errno.ENFILE) and name == "unmark" and self._reserve is not None:
            self._free_reserve()
            fd = self._library.bpf_iter_create(link_fd)
        libbpf.check(fd, name)
        try:
            while os.read(fd, 4096):
                pass
        finally:
            os.close(fd)
            self._refill()

    def _refill(self) -> None:
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.eventfd(0)

    def _free_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

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
