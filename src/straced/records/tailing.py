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

LATE_NS = 200_000_000
"""A record is in the file within a few hundredths of a second: the rings are emptied so often."""


class RecordTail:
    """What comes into a file that this machine writes.

    Args:
        fd: the file; it stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = len(layout.file_head())
        self._chunk = struct.Struct("=" + layout.CHUNK_HEAD)
        self._decoder = Decoder()
        self._waiting: list[tuple[int, int, Record]] = []
        self._numbers = itertools.count()
        self._until = 0
        self._begun: dict[int, Record] = {}

    def records(self, until_ns: int | None) -> Iterator[Record]:
        """Those that are in the file and ended before a moment of CLOCK_MONOTONIC; ``None``: all of them."""
        self._read()
        self._until = (1 << 64) - 1 if until_ns is None else until_ns
        return joined(self._ripe(), self._begun)

    def _ripe(self) -> Iterator[Record]:
        while self._waiting and self._waiting[0][0] <= self._until:
            yield heapq.heappop(self._waiting)[2]

    def _read(self) -> None:
        while len(head := os.pread(self._fd, self._chunk.size, self._at)) == self._chunk.size:
            mark, kind, cpu, size = self._chunk.unpack(head)
            start = self._at + self._chunk.size
            padded = size + -size % 8
            if mark != layout.CHUNK_MARK or os.fstat(self._fd).st_size < start + padded:
                return  # it is being written
            if kind == layout.RECORDS:
                for record in self._decoder.records(
                    os.pread(self._fd, size, start), -1 if cpu == layout.NO_CPU else cpu
                ):
                    heapq.heappush(self._waiting, (record.end_ns, next(self._numbers), record))
            self._at = start + padded
