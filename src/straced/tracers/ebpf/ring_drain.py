"""From the rings to a file: ranges of bytes as they are, without a look at any record."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator

from straced.linux import writeback
from straced.records import layout
from straced.records.layout import FileLayout
from straced.tracers.ebpf.record_engine import RecordEngine
from straced.tracers.ebpf.record_wire import SLACK
from straced.tracers.strace.free_space import free_bytes

_SHORTEST_S, _LONGEST_S = 0.002, 0.02
_SHARE = 1 / 16
"""Of a ring, which may fill between two looks at it: what else runs on its CPU pays for each look."""
_BURST_BYTES_A_SECOND = 400 * 1000 * 1000
"""More than a CPU was ever seen to write: while there are records, none is so late that a ring could fill by then."""
_FREE_CHECK_S = 0.2
WRITEBACK_BYTES = 8 << 20
"""As much is written before the disk is given it."""
AHEAD_BYTES = 256 * 1000 * 1000
"""How much may wait in the file for a reader that follows it, as for strace's lines, while it is written."""
_FILE_ERRORS = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.EFBIG: "file_limit"}


class RingDrain:
    """Copies what is written into the rings of an engine to a file, on a thread of its own.

    The thread has real-time priority where it may, unless ``first`` is false: on a busy machine it would else come for
    a ring when that is full. It needs little time, and none that the target would not have to give.

    Args:
        engine: it stays the caller's.
        fd: a regular file, written from its position on; it stays the caller's.
        max_bytes: say when the file is about this large.
        floor: bytes to leave free on its file system.
        ended: told once, in the thread, why nothing more should be recorded.
        ahead: the most that may wait in the file for a reader who follows from the first, with what is left in the
            rings at the end; no less than the rings and one more can hold. Where left out, nobody follows, or only
            later, and ``AHEAD_BYTES`` may wait beside that.
        first: whether it may go before others on their CPUs.
    """

    def __init__(
        self,
        engine: RecordEngine,
        fd: int,
        max_bytes: int | None,
        floor: int | None,
        ended: Callable[[str], None],
        *,
        ahead: int | None = None,
        first: bool = True,
    ) -> None:
        rings_bytes = engine.cpus * engine.ring_bytes
        room = AHEAD_BYTES if ahead is None else ahead - rings_bytes
        self._room = max(room, engine.ring_bytes)  # a full ring must find room some time
        self._first = first
        self._engine = engine
        self._fd = fd
        self._max_bytes = max_bytes
        self._floor = floor
        self._ended = ended
        self._tails = [0] * engine.cpus
        self._rings = [engine.ring(cpu) for cpu in range(engine.cpus)]
        self.form = FileLayout()
        """How the file stands in bytes."""
        self.written = os.lseek(fd, 0, os.SEEK_CUR)
        """Bytes of the file."""
        self.failure = ""
        """Why the file can take no more; what comes then is not kept."""
        self.read_up_to: int | None = None if ahead is None else 0
        """How far somebody who follows has read; unless ``None``, only so much is put before him.

        Beyond it the rings fill, and the kernel counts what it cannot write down.
        """
        self._to_disk = self.written
        self._at_end = False
        self._told = False
        self._free_checked_s, self._free_checked_at = 0.0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="straced-drain", daemon=True)

    def start(self) -> None:
        """Begin to copy.

        Raises:
            RuntimeError: there is no room for another thread.
        """
        self._thread.start()

    def finish(self) -> None:
        """Copy what is left, once nothing more is written, and end the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._at_end = True
        while self._copy_all():
            pass

    def write(self, *parts: bytes | memoryview) -> None:
        """Append to the file, all of it or nothing."""
        rest = [memoryview(part) for part in parts if len(part)]
        total = sum(len(part) for part in rest)
        if self.failure:
            return
        try:
            while rest:
                count = os.writev(self._fd, rest)
                while rest and count >= len(rest[0]):
                    count -= len(rest.pop(0))
                if rest:
                    rest[0] = rest[0][count:]
        except OSError as error:
            os.ftruncate(self._fd, self.written)
            os.lseek(self._fd, self.written, os.SEEK_SET)
            self._fail(_FILE_ERRORS.get(error.errno or 0, "disk_full"))
        else:
            self.written += total

    def _run(self) -> None:
        if self._first:
            _go_first()
        looked_s = time.monotonic()
        while not self._stop.is_set():
            before_s, looked_s = looked_s, time.monotonic()
            moved = self._copy_all()
            self._check_limits()
            self._begin_writeback()
            self._stop.wait(next_look_s(moved, looked_s - before_s, self._engine.ring_bytes))

    def _has_room(self, count: int) -> bool:
        """Whether a reader who follows may be given so much now; what is left at the end has its room beside that."""
        ahead = None if self._at_end or self.read_up_to is None else self.written - self.read_up_to
        return ahead is None or ahead + count <= self._room

    def _copy_all(self) -> int:
        """Returns the most bytes that were copied of one ring."""
        return max(self._copy(cpu) for cpu in range(self._engine.cpus))

    def _copy(self, cpu: int) -> int:
        tail, size = self._tails[cpu], self._engine.ring_bytes
        if self._rings[cpu].head == tail:
            return 0
        ready = self._engine.drain(cpu, tail)
        count = ready - tail
        if count and not self._has_room(count):
            return 0
        if count:
            base, start = cpu * (size + SLACK), tail & (size - 1)
            memory = self._engine.ring_memory[base : base + size]
            parts = memory[start : min(start + count, size)], memory[: max(0, start + count - size)]
            self.write(self.form.chunk_head(layout.RECORDS, cpu, *parts), *parts)
            self._tails[cpu] = ready
            self._engine.drain(cpu, ready)
        return count

    def _begin_writeback(self) -> None:
        """Not where somebody follows, who may give back what he has read before it was on any disk."""
        if self.read_up_to is None and self.written - self._to_disk >= WRITEBACK_BYTES:
            writeback.begin(self._fd, self._to_disk, self.written)
            self._to_disk = self.written

    def _check_limits(self) -> None:
        if self._max_bytes is not None and self.written >= self._max_bytes:
            self._tell("max_bytes")
        if self._floor is not None and self._free_is_due(self._floor):
            free = free_bytes(os.fstatvfs(self._fd))
            if free is not None and free < self._floor // 2:
                self._fail("disk_full")
            elif free is not None and free < self._floor:
                self._tell("disk_full")  # what is left in the rings, and the end of the file, have the other half

    def _free_is_due(self, floor: int) -> bool:
        """Whether to look at the disk again: from time to time, and before much of what is to stay free is written."""
        now = time.monotonic()
        due = now > self._free_checked_s + _FREE_CHECK_S or self.written > self._free_checked_at + floor // 8
        if due:
            self._free_checked_s, self._free_checked_at = now, self.written
        return due

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self._tell(why)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._ended(why)


def _go_first() -> None:
    """Where it may not, the thread waits for a CPU like everybody else."""
    if resource.getrlimit(resource.RLIMIT_RTTIME)[0] != resource.RLIM_INFINITY:
        return  # a process whose real-time threads run for longer is ended by a signal
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


@contextlib.contextmanager
def going_first() -> Iterator[None]:
    """Have this thread go before others, where it may, for the length of a block."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    _go_first()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *before)


def next_look_s(moved: int, since_s: float, ring_bytes: int) -> float:
    """In what time to look at the rings again.

    Args:
        moved: bytes that were there now, of the ring that had most.
        since_s: the time in which they came.
        ring_bytes: what a ring holds.
    """
    if not moved:
        return _LONGEST_S
    wanted_s = since_s * ring_bytes * _SHARE / moved
    return max(_SHORTEST_S, min(wanted_s, _LONGEST_S, ring_bytes / _BURST_BYTES_A_SECOND))
