"""How records and files of them stand in bytes (``docs/records.md``); ``bpf/record_write.h`` writes the records."""

from __future__ import annotations

import struct

MAGIC = b"\x89STRC\r\n\x1a"
VERSION = 1
ORDER = 0x0102
CHUNK_MARK = 0x4B4E4843
FACTS, RECORDS, END = 1, 2, 3
NO_CPU = 0xFFFF

RECORD_HEAD = "HBBIIIQQQq"
BLOB_HEAD = "HBBI"
FILE_HEAD = "8sHHI"
CHUNK_HEAD = "IHHQ"
NO_RESULT, NO_ENTER = 64, 128
"""Added to the kind of a record."""
CUT, UNREAD = 64, 128
"""Added to the kind of a blob."""
NO_TIME = (1 << 64) - 1
KEY_NR_BITS = 28
KEY_NR_MASK = (1 << KEY_NR_BITS) - 1

_FILE, _CHUNK = struct.Struct("=" + FILE_HEAD), struct.Struct("=" + CHUNK_HEAD)


def file_head() -> bytes:
    """What a file begins with."""
    return _FILE.pack(MAGIC, VERSION, ORDER, 0)


def chunk_head(kind: int, size: int, cpu: int = NO_CPU) -> bytes:
    """What a chunk of so many bytes begins with."""
    return _CHUNK.pack(CHUNK_MARK, kind, cpu, size)


def chunk(kind: int, data: bytes, cpu: int = NO_CPU) -> bytes:
    """A whole chunk."""
    return chunk_head(kind, len(data), cpu) + data + bytes(-len(data) % 8)
