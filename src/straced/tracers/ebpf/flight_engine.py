"""The object that records, with rings in which the oldest records make way (``bpf/record_overwrite.h``)."""

from __future__ import annotations

import ctypes
import errno
import time

from straced.errors import AttachError
from straced.tracers.ebpf import libbpf, record_wire
from straced.tracers.ebpf.record_engine import RecordEngine

LEAST = 8 * record_wire.PART
"""Of a ring in which a part is kept free while it is copied."""
_WAIT_S = 2.0


class FlightEngine(RecordEngine):
    """One loaded object whose rings nobody drains.

    Args:
        wanted: which calls.
        ring_bytes: of each CPU, rounded down to a power of two; as of :class:`RecordEngine` when left out.
        unpreempted: as of :class:`Engine`.

    Raises:
        OSError: libbpf is missing, or the kernel refused; errno says why.
    """

    def _configure(self) -> None:
        super()._configure()
        self._kept = self.cpus  # the tally of `count`, behind those of the CPUs
        libbpf.check(self._library.bpf_map__set_max_entries(self._map("tallies"), self.cpus + 1), "map tallies")

    def _configure_recording(self, config: record_wire.RecordingConfig) -> None:
        config.overwrite = 1
        config.reserve = max(2 * record_wire.PART, self.ring_bytes // 16)

    def _load(self) -> None:
        super()._load()
        self._keep_fd, self._look_fd = self.program_fd("keep"), self.program_fd("look")
        self._count_fd = self.program_fd("count")
        self._tallies = self._mapped("tallies", (self.cpus + 1) * ctypes.sizeof(record_wire.Tally))

    unwanted = False
    """Whoever writes a dump gives it up at its next piece, since the recorder is to end."""

    def check_wanted(self) -> None:
        """Say whether a dump may go on.

        Raises:
            AttachError: it may not.
        """
        if self.unwanted:
            raise AttachError("the recorder ended in the middle of the dump")

    def kept_bytes(self) -> int:
        """Of all records that are still there."""
        rings = [self.ring(cpu) for cpu in range(self.cpus)]
        return sum(int(ring.head - ring.tail) for ring in rings)

    def keep_all(self, cpu: int) -> int:
        """Let nothing of a ring be overwritten from now on; returns where its oldest record is.

        Raises:
            OSError: EBUSY, a program is preempted in this moment, and does not come back.
        """
        until = time.monotonic() + _WAIT_S
        while True:
            self._run(self._keep_fd, cpu, record_wire.KEEP_ALL, 0)
            if (ready := int(self.ring(cpu).ready)) != record_wire.NOT_YET:
                return ready
            _pause(until)

    def keep_from(self, cpu: int, position: int) -> None:
        """Let what is before a position be overwritten again."""
        self._run(self._keep_fd, cpu, record_wire.KEEP_FROM, position)

    def keep_nothing(self, cpu: int) -> None:
        """Let all of it be overwritten again."""
        self._run(self._keep_fd, cpu, record_wire.KEEP_NOTHING, 0)

    def whole_until(self, cpu: int, start: int) -> int:
        """Up to where all is written that was begun by now.

        Raises:
            OSError: EBUSY, as of :meth:`keep_all`.
        """
        wanted, until = int(self.ring(cpu).head), time.monotonic() + _WAIT_S
        while True:
            self._run(self._look_fd, cpu, start, 0)
            if (ready := int(self.ring(cpu).ready)) >= wanted:
                return ready
            _pause(until)

    def ranges(self, cpu: int, start: int, end: int) -> tuple[memoryview, memoryview]:
        """What stands in a ring, in one part or two."""
        size = self.ring_bytes
        base, at, count = cpu * (size + record_wire.SLACK), start & (size - 1), end - start
        memory = self.ring_memory[base : base + size]
        return memory[at : min(at + count, size)], memory[: max(0, at + count - size)]

    def bytes_of(self, cpu: int, start: int, end: int) -> bytes:
        """A copy of it."""
        return b"".join(self.ranges(cpu, start, end))

    def count(self, cpu: int, start: int, end: int, before_ns: int = 0) -> int:
        """Count records for :meth:`counted`, up to the first of ``before_ns`` or later; returns where that is."""
        state = record_wire.RecordingState.from_buffer(self._state)
        state.table, state.before_ns = self._kept, before_ns
        self._run(self._count_fd, cpu, start, end)
        return int(self.ring(cpu).ready)

    def forget_counted(self) -> None:
        """Begin to count anew."""
        size = ctypes.sizeof(record_wire.Tally)
        self._tallies[self._kept * size :] = bytes(size)

    def counted(self) -> list[int]:
        """What :meth:`count` has counted, by place."""
        return self._tally(self._kept)

    def overwritten(self) -> list[int]:
        """Records that are gone, by place; of all rings for which :meth:`keep_all` has been called it stays so."""
        return [sum(each) for each in zip(*map(self._tally, range(self.cpus)), strict=True)]

    def _tally(self, index: int) -> list[int]:
        size = ctypes.sizeof(record_wire.Tally)
        return self._tallies[index * size : (index + 1) * size].cast("Q").tolist()


def _pause(until: float) -> None:
    if time.monotonic() > until:
        raise OSError(errno.EBUSY, "a program that records was preempted, and does not come back")
    time.sleep(0.0005)
