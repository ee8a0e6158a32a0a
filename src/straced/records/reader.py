"""Files of records, read in the order in which the calls returned, whole or cut."""

from __future__ import annotations

import heapq
import os
import struct
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import msgspec
from msgspec import structs

from straced.errors import StracedError
from straced.records import layout
from straced.records.decoding import Decoder
from straced.records.values import CALLS, RETURNED, Record, RecordingEnd, RecordingFacts, RecordKind, label_of
from straced.text.sanitize import scrub
from straced.text.units import format_count, format_ns

MOST_DIFFERENCES = 5
_LARGEST_FACTS = 1 << 28
_PIECE_BYTES = 1 << 20
"""So much of a chunk is in memory at once, however long the file says it is; no record is longer than 64 KiB."""
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError)
_BY_TIME = attrgetter("end_ns", "cpu", "sequence")


class NoRecords(StracedError):
    """The file is none of records, or of a later version."""

    exit_code = 2


class RecordFile:
    """One ``.strc`` file. It may still be growing, or have been cut anywhere: what is whole is read.

    Args:
        path: where it is.

    Raises:
        OSError: it cannot be read.
        NoRecords: it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left_out = 0
        self._seen: Counter[tuple[int, str]] = Counter()
        """Records of counted calls by number and ABI, in the last reading."""
        self._read = False
        with open(path, "rb") as file:
            self._order = _order_of(file.read(16), path)
            self._chunk = struct.Struct(self._order + layout.CHUNK_HEAD)
            self._size = os.fstat(file.fileno()).st_size
            self._chunks = list(self._find_chunks(file.fileno()))
        self.facts = self._facts()
        """Whose records they are."""
        self.end = self._end()
        """How the recording ended; ``None`` of one that was cut."""

    def _find_chunks(self, fd: int) -> Iterator[tuple[int, int, int, int]]:
        """Kind, CPU, place and bytes of each chunk; of one that was cut, the bytes that are there."""
        at, total = 16, self._size
        while total - at >= self._chunk.size:
            mark, kind, cpu, size = self._chunk.unpack(os.pread(fd, self._chunk.size, at))
            at += self._chunk.size
            if mark != layout.CHUNK_MARK:
                self._left_out = total - at + self._chunk.size
                return
            yield kind, cpu, at, min(size, total - at)
            at += size + -size % 8

    def _facts(self) -> RecordingFacts:
        try:
            return msgspec.msgpack.decode(self._one(layout.FACTS), type=RecordingFacts)
        except _UNDECODABLE as error:
            raise NoRecords(f"{self.path.name}: it does not say whose records it has") from error

    def _end(self) -> RecordingEnd | None:
        try:
            return msgspec.msgpack.decode(self._one(layout.END), type=RecordingEnd)
        except _UNDECODABLE:
            return None

    def _one(self, wanted: int) -> bytes:
        for kind, _cpu, at, size in self._chunks:
            if kind == wanted and size <= _LARGEST_FACTS:
                with open(self.path, "rb") as file:
                    return os.pread(file.fileno(), size, at)
        return b""

    def troubles(self) -> list[str]:
        """Return why calls may be missing, in words; all of it once the records were read."""
        found = []
        if self.facts.since_ns is not None and self.end is not None:
            found.append(self._of_dump(self.end, self.facts.since_ns))
        if self.end is not None and self.end.left_out:
            found.append(scrub(self.end.left_out, 200))
        if self._left_out:
            found.append(f"{self._left_out:,} bytes of the file are no records, and were left out")
        if self.end is None:
            found.append("the file has no end: the recording was cut, or goes on, and its last calls are missing")
        elif not self.end.exact and not self.end.chosen:
            found.append("the counters missed calls, so that nobody knows whether records are missing")
        elif self._read and not self.end.chosen:
            found += self._differences(self.end)
        return found

    def _differences(self, end: RecordingEnd) -> list[str]:
        """Where records and what became of the other calls do not add up to what was counted."""
        seen: Counter[str] = Counter()
        for (number, abi), count in self._seen.items():
            seen[label_of(number, abi)] += count
        without = {name: each.filtered + each.overwritten + each.lost for name, each in end.calls.items()}
        expected = {name: each.counted - without[name] for name, each in end.calls.items()}
        wrong = [name for name in sorted({*seen, *expected}) if seen[name] != expected.get(name, 0)]
        told = [
            f"{scrub(name, 40)} {format_count(seen[name])} of {format_count(expected.get(name, 0))}"
            for name in wrong[:MOST_DIFFERENCES]
        ]
        more = f" and {len(wrong) - MOST_DIFFERENCES} more" if len(wrong) > MOST_DIFFERENCES else ""
        return [f"the file does not have the records that it says it has: {', '.join(told)}{more}"] if wrong else []

    def _of_dump(self, end: RecordingEnd, since_ns: int) -> str:
        span = format_ns(end.ended_ns - since_ns)
        if end.chosen:
            return f"a dump of some processes of a recorder: nothing older than {span}, and no sums"
        gone = format_count(sum(each.overwritten for each in end.calls.values()))
        return f"a dump: it has all calls of the last {span}; {gone} before them were overwritten"

    def __iter__(self) -> Iterator[Record]:
        """All records, in order; what an EXEC tells is in the CALL of its execve, too."""
        decoder = Decoder(self._order)
        self._seen.clear()
        self._read = False
        cpus = sorted({cpu for kind, cpu, _at, _size in self._chunks if kind == layout.RECORDS})
        merged = heapq.merge(*(self._of_cpu(decoder, cpu) for cpu in cpus), key=_BY_TIME)
        yield from joined(self._counted(merged), {})
        self._read = True

    def _counted(self, records: Iterator[Record]) -> Iterator[Record]:
        seen = self._seen
        for record in records:
            if record.kind in CALLS:
                seen[record.number, record.abi] += 1
            yield record

    @property
    def byte_order(self) -> str:
        """``<`` or ``>``: that of the machine that wrote it."""
        return self._order

    def pieces(self) -> Iterator[tuple[int, int, bytes]]:
        """Give the chunks as they are: kind, CPU and bytes."""
        with open(self.path, "rb") as file:
            for kind, cpu, at, size in self._chunks:
                yield kind, cpu, os.pread(file.fileno(), size, at)

    def _of_cpu(self, decoder: Decoder, wanted: int) -> Iterator[Record]:
        number = -1 if wanted == layout.NO_CPU else wanted
        with open(self.path, "rb") as file:
            for kind, cpu, at, size in self._chunks:
                if kind == layout.RECORDS and cpu == wanted:
                    yield from self._of_chunk(decoder, file.fileno(), number, at, at + size)

    def _of_chunk(self, decoder: Decoder, fd: int, number: int, at: int, end: int) -> Iterator[Record]:
        while at < end:
            piece = os.pread(fd, min(_PIECE_BYTES, end - at), at)
            whole = yield from decoder.records(piece, number)
            if not whole:
                torn = self.end is None and end == self._size
                self._left_out += 0 if torn else end - at
                return
            at += whole


def _order_of(head: bytes, path: Path) -> str:
    for order in "<>":
        if len(head) == 16:
            magic, version, mark, _unused = struct.unpack(order + layout.FILE_HEAD, head)
            if magic == layout.MAGIC and mark == layout.ORDER:
                if version != layout.VERSION:
                    raise NoRecords(f"{path.name}: records of version {version}", hint="read it with a newer straced")
                return order
    raise NoRecords(f"{path.name} is no file of records")


def joined(records: Iterator[Record], begun: dict[int, Record]) -> Iterator[Record]:
    """The path and words of a program go from where it began, where ``begun`` keeps them, to the call that began it."""
    for record in records:
        if record.kind is RecordKind.EXEC:
            begun[record.tid] = record
        elif begun and record.kind in RETURNED and record.tid in begun:
            began = begun.pop(record.tid)
            if record.result == 0 and not record.blobs and record.label.startswith("execve"):
                at = 1 if record.label.startswith("execveat") else 0
                blobs = {at + index: blob for index, blob in began.blobs.items()}
                record = structs.replace(record, blobs=blobs)
        yield record
