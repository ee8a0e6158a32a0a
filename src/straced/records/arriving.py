"""A file of records that arrives in pieces: what it says of its origin and of its end, not its records."""

from __future__ import annotations

import zlib

import msgspec

from straced.records import layout
from straced.records.layout import FileLayout, layout_of
from straced.records.values import RecordingEnd, RecordingFacts

_LARGEST = 1 << 28


class ArrivingFile:
    """Follow the chunks of a file that comes from its beginning on."""

    def __init__(self) -> None:
        self.facts: RecordingFacts | None = None
        """Whose records they are; ``None`` until that has come."""
        self.end: RecordingEnd | None = None
        """What became of all calls; ``None`` until that has come."""
        self._form: FileLayout | None = None
        self._rest = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            ValueError: it is no such file, or not as it was written.
        """
        self._rest += data
        if self._form is None:
            if len(self._rest) < layout.FILE_HEAD_BYTES:
                return
            self._form = layout_of(self._rest)
            self._skip = layout.FILE_HEAD_BYTES
        if self._form is None:
            raise ValueError("these are no records")
        while True:
            gone = min(self._skip, len(self._rest))
            del self._rest[:gone]
            self._skip -= gone
            if self._skip or len(self._rest) < self._form.head_bytes or not self._take(self._form):
                return

    def _take(self, form: FileLayout) -> bool:
        """Whether the chunk that begins here need not be waited for."""
        head = form.head_in(self._rest)
        if head is None or (head.kind in (layout.FACTS, layout.END) and head.bytes > _LARGEST):
            raise ValueError("these are no records")
        padded = form.head_bytes + head.filled
        if head.kind in (layout.FACTS, layout.END):
            if len(self._rest) < padded:
                return False
            body = bytes(self._rest[form.head_bytes : padded])
            if head.checksum not in (None, zlib.crc32(body)):
                raise ValueError("the records are not as they were written")
            if head.kind == layout.FACTS:
                self.facts = msgspec.msgpack.decode(body[: head.bytes], type=RecordingFacts)
            else:
                self.end = msgspec.msgpack.decode(body[: head.bytes], type=RecordingEnd)
        self._skip = padded
        return True
