"""Files of records, read in the order in which the calls returned, whole or cut."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import structs

from straced.errors import StracedError
from straced.records import layout
from straced.records.chunks import PIECE_BYTES, Chunk, DamagedGap, chunks_in, is_whole
from straced.records.completeness import differences, dump_span
from straced.records.damage import DamagedPart, told
from straced.records.decoding import Decoder
from straced.records.layout import FileLayout, LaterVersion, layout_of
from straced.records.merging import merged
from straced.records.values import CALLS, RETURNED, Record, RecordingEnd, RecordingFacts, RecordKind
from straced.text.sanitize import scrub

_LARGEST_FACTS = 1 << 28
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError)
_NAMES = {layout.FACTS: "whose records they are", layout.END: "its end, which has what was counted"}


class NoRecords(StracedError):
    """The file is none of records, or of a later version."""

    exit_code = 2


class RecordFile:
    """One ``.strc`` file. It may still be growing, or have been cut or damaged anywhere: what is whole is read.

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
        self._parts: list[Chunk | DamagedGap] = []
        self._damaged: list[DamagedPart] = []
        """What is not records."""
        self._damaged_records: list[DamagedPart] = []
        with open(path, "rb") as file:
            self._form = _form_of(file.read(layout.FILE_HEAD_BYTES), path)
            self._size = os.fstat(file.fileno()).st_size
            self._find_chunks(file.fileno())
            facts, end = self._one(file.fileno(), layout.FACTS), self._one(file.fileno(), layout.END)
        self.facts = self._facts(facts)
        """Whose records they are."""
        self.end = self._end(end)
        """How the recording ended; ``None`` of one that was cut."""

    def _find_chunks(self, fd: int) -> None:
        ended = False
        for each in chunks_in(fd, self._form, self._size):
            self._parts.append(each)
            if isinstance(each, Chunk):
                ended = ended or each.head.kind == layout.END
            elif ended or not self._form.checked:
                self._left_out += each.end - each.at
            else:
                self._damaged.append(DamagedPart(each.at, each.end, "the head of a piece, with what is behind it"))

    @property
    def _chunks(self) -> Iterator[Chunk]:
        return (each for each in self._parts if isinstance(each, Chunk))

    def _facts(self, data: bytes) -> RecordingFacts:
        try:
            return msgspec.msgpack.decode(data, type=RecordingFacts)
        except _UNDECODABLE as error:
            why = ", by its checksum it is damaged" if self._damaged else ""
            raise NoRecords(f"{self.path.name}: it does not say whose records it has{why}") from error

    def _end(self, data: bytes) -> RecordingEnd | None:
        try:
            return msgspec.msgpack.decode(data, type=RecordingEnd)
        except _UNDECODABLE:
            return None

    def _one(self, fd: int, wanted: int) -> bytes:
        for each in self._chunks:
            if each.head.kind == wanted and each.head.bytes <= _LARGEST_FACTS:
                if self._form.checked and each.cut:
                    return b""
                if is_whole(fd, each):
                    return os.pread(fd, each.end - each.at, each.at)
                self._damaged.append(DamagedPart(each.at, each.end, _NAMES[wanted]))
                return b""
        return b""

    def damage(self) -> list[str]:
        """Return which parts are not as they were written, in words; all of it once the records were read.

        Files of straced 0.2.0 have no checksums, so that only the sums at their end tell.
        """
        return told([*self._damaged, *self._damaged_records], self.facts.monotonic_ns)

    def troubles(self) -> list[str]:
        """Return why calls may be missing, in words; all of it once the records were read."""
        found: list[str] = []
        missing: list[str] = []
        if self.facts.since_ns is not None and self.end is not None:
            found.append(dump_span(self.end, self.facts.since_ns))
        if self.end is not None and self.end.left_out:
            found.append(scrub(self.end.left_out, 200))
        if self._left_out:
            found.append(f"{self._left_out:,} bytes of the file are no records, and were left out")
        if self.end is None:
            found.append("the file has no end: the recording was cut, or goes on, and its last calls are missing")
            found += self._unchecked_tail()
        elif not self.end.exact and not self.end.chosen:
            found.append("the counters missed calls, so that nobody knows whether records are missing")
        elif self._read and not self.end.chosen:
            missing = differences(self._seen, self.end)
            found += missing
        if not self._form.checked and (self._left_out or missing):
            found.append("a file of straced 0.2.0 has no checksums: what is left may be wrong, too")
        return found

    def _unchecked_tail(self) -> list[str]:
        last = self._parts[-1]
        if isinstance(last, DamagedGap) or not (self._form.checked and last.cut and last.head.kind == layout.RECORDS):
            return []
        size = last.end - last.at
        return [f"its last {size:,} bytes are of a piece that was cut, so that no checksum vouches for them"]

    def __iter__(self) -> Iterator[Record]:
        """All records, in order; what an EXEC tells is in the CALL of its execve, too."""
        decoder = Decoder(self.byte_order)
        self._seen.clear()
        self._damaged_records.clear()
        self._read = False
        cpus = sorted({each.head.cpu for each in self._chunks if each.head.kind == layout.RECORDS})
        records = merged(self._of_cpu(decoder, cpu) for cpu in cpus)
        yield from joined(self._counted(records), {})
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
        return self._form.order

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Give the chunks of records as they are: CPU and bytes; of those that were left out :meth:`damage` tells."""
        self._damaged_records.clear()
        with open(self.path, "rb") as file:
            for each in self._chunks:
                if each.head.kind == layout.RECORDS:
                    if is_whole(file.fileno(), each):
                        yield each.head.cpu, os.pread(file.fileno(), each.end - each.at, each.at)
                    else:
                        self._leave_out(each)

    def _leave_out(self, part: Chunk | DamagedGap, last_ns: int = 0) -> DamagedPart:
        """Note that a part is damaged; of one whose head is, that has been noted."""
        if isinstance(part, DamagedGap):
            return DamagedPart(part.at, part.end, "")
        where = "calls in flight" if part.head.cpu == layout.NO_CPU else f"records of CPU {part.head.cpu}"
        self._damaged_records.append(DamagedPart(part.at, part.end, where, last_ns or None))
        return self._damaged_records[-1]

    def _of_cpu(self, decoder: Decoder, wanted: int) -> Iterator[Record]:
        number = -1 if wanted == layout.NO_CPU else wanted
        last_ns = 0
        missing: list[DamagedPart] = []
        with open(self.path, "rb") as file:
            for each in self._parts:
                if isinstance(each, Chunk) and (each.head.kind != layout.RECORDS or each.head.cpu != wanted):
                    continue
                if isinstance(each, DamagedGap) or not is_whole(file.fileno(), each):
                    part = self._leave_out(each, last_ns)
                    missing.append(part)
                    yield unknown_many(number, last_ns)
                    continue
                for record in self._of_chunk(decoder, file.fileno(), number, each.at, each.end):
                    if missing:
                        yield unknown_many(number, record.end_ns)
                    while missing:
                        missing.pop().before_ns = record.end_ns
                    last_ns = record.end_ns
                    yield record

    def _of_chunk(self, decoder: Decoder, fd: int, number: int, at: int, end: int) -> Iterator[Record]:
        while at < end:
            piece = os.pread(fd, min(PIECE_BYTES, end - at), at)
            whole = yield from decoder.records(piece, number)
            if not whole:
                torn = self.end is None and end == self._size
                self._left_out += 0 if torn else end - at
                return
            at += whole


def _form_of(head: bytes, path: Path) -> FileLayout:
    try:
        form = layout_of(head)
    except LaterVersion as error:
        raise NoRecords(f"{path.name}: records of version {error}", hint="read it with a newer straced") from None
    if form is None:
        raise NoRecords(f"{path.name} is no file of records")
    return form


def unknown_many(cpu: int, end_ns: int) -> Record:
    """Stands where a chunk was left out: nobody knows what descriptors stand for from there on."""
    return Record(kind=RecordKind.LOST, sequence=-1, cpu=cpu, tid=0, pid=0, abi="", number=0, end_ns=end_ns)


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
