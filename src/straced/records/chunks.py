"""The chunks of a file of records: where they are, also behind damage, and whether they are as they were written."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from msgspec import Struct

from straced.records import layout
from straced.records.layout import ChunkHead, FileLayout

PIECE_BYTES = 1 << 20
"""So much of a file is in memory at once, however long a chunk says it is; no record is longer than 64 KiB."""
_MARK_OFFSETS = 8
"""Every chunk begins at a multiple of this."""
_FARTHEST = 1 << 27
"""Behind damage the next chunk is looked for so far; a ring has 64 MiB at most."""
_MOST_TRIED = 20_000
"""Places that look like a chunk and are none, before the rest is given up: paths of the target are in the file, too."""


class Chunk(Struct, frozen=True):
    """A chunk whose head is as it was written."""

    head: ChunkHead
    at: int
    """Where its bytes begin."""
    end: int
    """Where they end; of one that was cut, the end of the file."""
    cut: bool
    """Not all of it is there, so that its checksum says nothing."""


class DamagedGap(Struct, frozen=True):
    """A part of the file that is no chunk."""

    at: int
    end: int


def chunks_in(fd: int, form: FileLayout, total: int) -> Iterator[Chunk | DamagedGap]:
    """Give the chunks of a file, and what stands between them where it is damaged.

    Args:
        fd: the file.
        form: how it stands in bytes.
        total: its length.
    """
    at, ended = layout.FILE_HEAD_BYTES, False
    while total - at >= form.head_bytes:
        head = form.head_in(os.pread(fd, form.head_bytes, at))
        if head is None:
            begun, at = at, total if ended else _next_chunk(fd, form, at, total)
            yield DamagedGap(begun, at)
            continue
        start = at + form.head_bytes
        at = start + head.filled
        ended = ended or head.kind == layout.END
        yield Chunk(head, start, min(start + head.bytes, total), cut=at > total)
    if at < total and ended and form.checked:  # where it has no end yet, a head that is being written
        yield DamagedGap(at, total)


def _next_chunk(fd: int, form: FileLayout, at: int, total: int) -> int:
    """Where the next chunk begins whose head is whole; of files without checksums nobody can tell."""
    if not form.checked:
        return total
    mark = form.chunk_head(0, 0)[:4]
    tried, last = 0, min(total, at + _FARTHEST)
    at += _MARK_OFFSETS
    while at < last and tried < _MOST_TRIED and (data := os.pread(fd, PIECE_BYTES, at)):
        found = data.find(mark)
        while found >= 0 and tried < _MOST_TRIED:
            place = at + found
            if place % _MARK_OFFSETS == 0:
                head = data[found : found + form.head_bytes]
                if len(head) < form.head_bytes:
                    head = os.pread(fd, form.head_bytes, place)
                if len(head) == form.head_bytes and form.head_in(head) is not None:
                    return place
                tried += 1
            found = data.find(mark, found + 1)
        at += max(len(data) - len(mark) + 1, 1)
    return total


def is_whole(fd: int, chunk: Chunk) -> bool:
    """Whether a chunk is as it was written; of one without a checksum, or that was cut, nobody can tell that it is not.

    Args:
        fd: the file.
        chunk: of it.
    """
    if chunk.head.checksum is None or chunk.cut:
        return True
    at, end, checksum = chunk.at, chunk.at + chunk.head.filled, 0
    while at < end and (piece := os.pread(fd, min(PIECE_BYTES, end - at), at)):
        checksum = zlib.crc32(piece, checksum)
        at += len(piece)
    return at == end and checksum == chunk.head.checksum
