"""Files of records, read in the order in which the calls returned, whole or cut."""

from __future__ import annotations

import heapq
import os
import struct
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import msgspec
from msgspec import structs

from straced.errors import StracedError
from straced.records import layout
from straced.records.decoding import Decoder
from straced.records.values import Record, RecordingEnd, RecordingFacts, RecordKind

_LARGEST_FACTS = 1 << 28
_BY_TIME = attrgetter("end_ns", "cpu", "sequence")


class NoRecords(StracedError):
    """The file is none of records, or of a later version."""


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
        with open(path, "rb") as file:
            self._order = _order_of(file.read(16), path)
            self._chunk = struct.Struct(self._order + layout.CHUNK_HEAD)
            self._chunks = list(self._find_chunks(file.fileno()))
        self.facts = self._facts()
        """Whose records they are."""
        self.end = self._end()
        """How the recording ended; ``None`` of one that was cut."""

    def _find_chunks(self, fd: int) -> Iterator[tuple[int, int, int, int]]:
        """Kind, CPU, place and bytes of each chunk; of one that was cut, the bytes that are there."""
        at, total = 16, os.fstat(fd).st_size
        while total - at >= self._chunk.size:
            mark, kind, cpu, size = self._chunk.unpack(os.pread(fd, self._chunk.size, at))
            at += self._chunk.size
            if mark != layout.CHUNK_MARK:
                return
            yield kind, cpu, at, min(size, total - at)
            at += size + -size % 8

    def _facts(self) -> RecordingFacts:
        try:
            return msgspec.msgpack.decode(self._one(layout.FACTS), type=RecordingFacts)
        except msgspec.MsgspecError as error:
            raise NoRecords(f"{self.path.name}: it does not say whose records it has") from error

    def _end(self) -> RecordingEnd | None:
        try:
            return msgspec.msgpack.decode(self._one(layout.END), type=RecordingEnd)
        except msgspec.MsgspecError:
            return None

    def _one(self, wanted: int) -> bytes:
        for kind, _cpu, at, size in self._chunks:
            if kind == wanted and size <= _LARGEST_FACTS:
                with open(self.path, "rb") as file:
                    return os.pread(file.fileno(), size, at)
        return b""

    def __iter__(self) -> Iterator[Record]:
        """All records, in order; what an EXEC tells is in the CALL of its execve, too."""
        decoder = Decoder(self._order)
        cpus = sorted({cpu for kind, cpu, _at, _size in self._chunks if kind == layout.RECORDS})
        return joined(heapq.merge(*(self._of_cpu(decoder, cpu) for cpu in cpus), key=_BY_TIME), {})

    def _of_cpu(self, decoder: Decoder, wanted: int) -> Iterator[Record]:
        number = -1 if wanted == layout.NO_CPU else wanted
        with open(self.path, "rb") as file:
            for kind, cpu, at, size in self._chunks:
                if kind == layout.RECORDS and cpu == wanted:
                    yield from decoder.records(os.pread(file.fileno(), size, at), number)


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
        elif begun and record.kind is RecordKind.CALL and record.tid in begun:
            began = begun.pop(record.tid)
            if record.result == 0 and not record.blobs and record.label.startswith("execve"):
                at = 1 if record.label.startswith("execveat") else 0
                blobs = {at + index: blob for index, blob in began.blobs.items()}
                record = structs.replace(record, blobs=blobs)
        yield record
