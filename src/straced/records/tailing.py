"""A file of records while it grows: its records in order, a moment late, so that all CPUs have been heard."""

from __future__ import annotations

import heapq
import itertools
import os
import struct
from collections.abc import Iterator

from straced.records import layout
from straced.records.decoding import Decoder
from straced.records.reader import joined
from straced.records.values import Record

_ROUND = 1 << 19
"""Bytes that are read at once: in memory records take more than ten times as much."""
LATE_NS = 200_000_000
"""A record is in the file within a few hundredths of a second: the rings are emptied so often."""


class RecordTail:
    """What comes into a file that this machine writes.

    Args:
        fd: the file; it stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.position = len(layout.file_head())
        """Where the first byte is that is not read yet."""
        self._chunk = struct.Struct("=" + layout.CHUNK_HEAD)
        self._decoder = Decoder()
        self._waiting: list[tuple[int, int, Record]] = []
        self._numbers = itertools.count()
        self._until = 0
        self._newest = 0
        self.behind = False
        """Whether there was more in the file than the last round took: it may grow faster than anybody reads it."""
        self._begun: dict[int, Record] = {}

    def records(self, until_ns: int | None) -> Iterator[Record]:
        """Return the next of those that ended before a moment of CLOCK_MONOTONIC, or of all.

        While :attr:`behind` there are more, for the next call.
        """
        self.behind = self._read()
        self._until = (1 << 64) - 1 if until_ns is None else until_ns
        if self.behind:  # what is not read yet was written later than the newest that is
            self._until = min(self._until, self._newest - LATE_NS)
        return joined(self._ripe(), self._begun)

    def _ripe(self) -> Iterator[Record]:
        while self._waiting and self._waiting[0][0] <= self._until:
            yield heapq.heappop(self._waiting)[2]

    def _read(self) -> bool:
        """Take up to a round's bytes; whether there may be more."""
        last = self.position + _ROUND
        while len(head := os.pread(self._fd, self._chunk.size, self.position)) == self._chunk.size:
            mark, kind, cpu, size = self._chunk.unpack(head)
            start = self.position + self._chunk.size
            padded = size + -size % 8
            if mark != layout.CHUNK_MARK or os.fstat(self._fd).st_size < start + padded:
                return False  # it is being written
            if kind == layout.RECORDS:
                for record in self._decoder.records(
                    os.pread(self._fd, size, start), -1 if cpu == layout.NO_CPU else cpu
                ):
                    heapq.heappush(self._waiting, (record.end_ns, next(self._numbers), record))
                    self._newest = max(self._newest, record.end_ns)
            self.position = start + padded
            if self.position >= last:
                return True
        return False
