"""A file of records while it grows: its records in order, a moment late, so that all CPUs have been heard."""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator

from straced.records import layout
from straced.records.chunks import Chunk, is_whole
from straced.records.decoding import Decoder
from straced.records.layout import FileLayout, layout_of
from straced.records.reader import joined, unknown_many
from straced.records.values import Record

_ROUND = 1 << 19
"""Bytes that are read at once: in memory records take more than ten times as much."""
LATE_NS = 200_000_000
"""A record is in the file within a few hundredths of a second: the rings are emptied so often."""


class RecordTail:
    """What comes into a file that is being written.

    Args:
        fd: the file; it stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._form: FileLayout | None = None
        self.position = layout.FILE_HEAD_BYTES
        """Where the first byte is that is not read yet."""
        self.damaged = False
        """Whether a part was not as it was written, and was left out; behind a damaged head nothing more is read."""
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
        form = self._form = self._form or layout_of(os.pread(self._fd, layout.FILE_HEAD_BYTES, 0))
        if form is None:
            return False
        last = self.position + _ROUND
        while len(data := os.pread(self._fd, form.head_bytes, self.position)) == form.head_bytes:
            head = form.head_in(data)
            if head is None:
                self.damaged = True
                return False
            start = self.position + form.head_bytes
            if os.fstat(self._fd).st_size < start + head.filled:
                return False  # it is being written
            if head.kind == layout.RECORDS:
                self._take(Chunk(head, start, start + head.bytes, cut=False))
            self.position = start + head.filled
            if self.position >= last:
                return True
        return False

    def _take(self, chunk: Chunk) -> None:
        cpu = -1 if chunk.head.cpu == layout.NO_CPU else chunk.head.cpu
        if not is_whole(self._fd, chunk):
            self.damaged = True
            self._push(unknown_many(cpu, self._newest))
            return
        for record in self._decoder.records(os.pread(self._fd, chunk.head.bytes, chunk.at), cpu):
            self._push(record)

    def _push(self, record: Record) -> None:
        heapq.heappush(self._waiting, (record.end_ns, next(self._numbers), record))
        self._newest = max(self._newest, record.end_ns)
