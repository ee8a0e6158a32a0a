"""How records and files of them stand in bytes (``docs/records.md``); ``bpf/record_write.h`` writes the records."""

from __future__ import annotations

import os
import struct
import zlib

from msgspec import Struct

MAGIC = b"\x89STRC\r\n\x1a"
VERSION = 2
UNCHECKED = 1
"""The version of files whose chunks have no checksums."""
ORDER = 0x0102
CHUNK_MARK = 0x4B4E4843
FACTS, RECORDS, END = 1, 2, 3
NO_CPU = 0xFFFF

RECORD_HEAD = "HBBIIIQQQq"
BLOB_HEAD = "HBBI"
FILE_HEAD = "8sHHI"
FILE_HEAD_BYTES = 16
CHUNK_HEAD = "IHHQ"
LARGEST_CHUNK = 1 << 30
"""None that has checksums is longer: what says so is damaged."""
CHECKSUMS = "II"
"""What follows the head of a chunk: of its bytes, and of the head up to there."""
NO_RESULT, NO_ENTER = 64, 128
"""Added to the kind of a record."""
CUT, UNREAD = 64, 128
"""Added to the kind of a blob."""
NO_TIME = (1 << 64) - 1
KEY_NR_BITS = 28
KEY_NR_MASK = (1 << KEY_NR_BITS) - 1


class ChunkHead(Struct, frozen=True):
    """What a chunk begins with."""

    kind: int
    cpu: int
    bytes: int
    checksum: int | None
    """Of its bytes, with what fills them up; ``None`` in a file without checksums."""

    @property
    def filled(self) -> int:
        """How many bytes it takes in the file behind its head."""
        return self.bytes + -self.bytes % 8


class FileLayout:
    """How the chunks of one file begin.

    Args:
        order: ``<`` or ``>``, the byte order of the machine that writes it; this one's where left out.
        version: of the format.
        salt: the number from which the checksums of heads begin, another one for each file: so nothing that a target
            has in its paths passes for a chunk where one is looked for behind damage.
    """

    def __init__(self, order: str = "=", version: int = VERSION, salt: int | None = None) -> None:
        self.order = order
        self.version = version
        self._salt = int.from_bytes(os.urandom(4)) if salt is None else salt
        self._head = struct.Struct(order + CHUNK_HEAD)
        self._sum = struct.Struct(order + "I")
        self.checked = version != UNCHECKED
        """Whether its chunks have checksums."""
        self.head_bytes = struct.calcsize(order + CHUNK_HEAD + (CHECKSUMS if self.checked else ""))
        """Of each chunk."""

    def file_head(self) -> bytes:
        """What the file begins with."""
        return struct.pack(self.order + FILE_HEAD, MAGIC, self.version, ORDER, self._salt)

    def chunk_head(self, kind: int, cpu: int, *parts: bytes | memoryview) -> bytes:
        """What a chunk of these parts begins with; a multiple of 8 bytes, behind which they stand as they are."""
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        head = self._head.pack(CHUNK_MARK, kind, cpu, sum(map(len, parts)))
        return self._signed(head, checksum)

    def chunk(self, kind: int, data: bytes, cpu: int = NO_CPU) -> bytes:
        """A whole chunk."""
        filled = data + bytes(-len(data) % 8)
        return self._signed(self._head.pack(CHUNK_MARK, kind, cpu, len(data)), zlib.crc32(filled)) + filled

    def _signed(self, head: bytes, checksum: int) -> bytes:
        head += self._sum.pack(checksum)
        return head + self._sum.pack(zlib.crc32(head, self._salt))

    def head_in(self, data: bytes | bytearray | memoryview) -> ChunkHead | None:
        """The chunk that begins here; ``None`` where none does, or its head is not as it was written.

        Args:
            data: at least :attr:`head_bytes`.
        """
        mark, kind, cpu, size = self._head.unpack_from(data)
        if mark != CHUNK_MARK:
            return None
        if not self.checked:
            return ChunkHead(kind, cpu, size, None)
        at = self._head.size
        (checksum,), (own,) = self._sum.unpack_from(data, at), self._sum.unpack_from(data, at + 4)
        if size > LARGEST_CHUNK or own != zlib.crc32(memoryview(data)[: at + 4], self._salt):
            return None
        return ChunkHead(kind, cpu, size, checksum)


class LaterVersion(ValueError):
    """A file of records in a format that nobody here knows; ``args[0]`` is its version."""


def layout_of(head: bytes | bytearray) -> FileLayout | None:
    """How a file stands in bytes; ``None`` of one that is none of records.

    Args:
        head: its first 16 bytes.

    Raises:
        LaterVersion: it is of another version.
    """
    if len(head) < FILE_HEAD_BYTES:
        return None
    for order in "<>":
        magic, version, mark, salt = struct.unpack_from(order + FILE_HEAD, head)
        if magic == MAGIC and mark == ORDER:
            if version not in (UNCHECKED, VERSION):
                raise LaterVersion(version)
            return FileLayout(order, version, salt)
    return None
