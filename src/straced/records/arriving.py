"""A file of records that arrives in pieces: what it says of its origin and of its end, not its records."""

from __future__ import annotations

import struct

import msgspec

from straced.records import layout
from straced.records.values import RecordingEnd, RecordingFacts

_CHUNK = struct.Struct("=" + layout.CHUNK_HEAD)
_LARGEST = 1 << 28


class ArrivingFile:
    """Follow the chunks of a file that this machine has written, and that comes from its beginning on."""

    def __init__(self) -> None:
        self.facts: RecordingFacts | None = None
        """Whose records they are; ``None`` until that has come."""
        self.end: RecordingEnd | None = None
        """What became of all calls; ``None`` until that has come."""
        self._rest = bytearray()
        self._skip = len(layout.file_head())

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            ValueError: it is no such file.
        """
        self._rest += data
        while True:
            gone = min(self._skip, len(self._rest))
            del self._rest[:gone]
            self._skip -= gone
            if self._skip or len(self._rest) < _CHUNK.size:
                return
            mark, kind, _cpu, size = _CHUNK.unpack_from(self._rest)
            padded = _CHUNK.size + size + -size % 8
            if mark != layout.CHUNK_MARK or (kind in (layout.FACTS, layout.END) and size > _LARGEST):
                raise ValueError("these are no records")
            if kind in (layout.FACTS, layout.END):
                if len(self._rest) < padded:
                    return
                body = bytes(self._rest[_CHUNK.size : _CHUNK.size + size])
                if kind == layout.FACTS:
                    self.facts = msgspec.msgpack.decode(body, type=RecordingFacts)
                else:
                    self.end = msgspec.msgpack.decode(body, type=RecordingEnd)
            self._skip = padded
