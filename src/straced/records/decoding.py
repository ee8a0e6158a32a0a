"""From the bytes of records to values."""

from __future__ import annotations

import struct
from collections.abc import Generator

from straced.records import layout
from straced.records.values import X32_BIT, Blob, BlobKind, Record, RecordKind
from straced.syscalls import ABIS

_KINDS = {int(kind): kind for kind in RecordKind}
_BLOBS = {int(kind): kind for kind in BlobKind}
_ABIS = dict(enumerate(("", *ABIS)))
_NO_BLOBS: dict[int, Blob] = {}


class Decoder:
    """Decodes the records of one machine.

    Args:
        order: ``<`` or ``>``, its byte order.
    """

    def __init__(self, order: str = "=") -> None:
        self._head = struct.Struct(order + layout.RECORD_HEAD)
        self._blob = struct.Struct(order + layout.BLOB_HEAD)
        self._args = [struct.Struct(f"{order}{count}Q") for count in range(7)]
        self._sequences: dict[int, int] = {}
        self._size = struct.Struct(order + "H")

    def records(self, data: bytes | memoryview, cpu: int) -> Generator[Record, None, int]:
        """Decode the whole records of a piece of one CPU's ring; a torn one at the end is left out.

        Args:
            data: what was copied from it.
            cpu: its number; -1 for START records.

        Returns:
            How many bytes the whole ones are.
        """
        at, end, size_at = 0, len(data), self._size.unpack_from
        head_bytes, record = self._head.size, self._record
        while end - at >= 8:
            (size,) = size_at(data, at)
            if size < 8 or size % 8 or at + size > end:
                break
            if size >= head_bytes and (kind := _KINDS.get(data[at + 2] & 63)) is not None:
                yield record(data, at, size, cpu, kind)
            at += size
        return at

    def blobs(self, data: bytes | memoryview) -> dict[int, Blob]:
        """Decode blobs that stand alone, by the number of the argument.

        Args:
            data: nothing but them.
        """
        return self._blobs(data, 0, len(data))

    def _record(self, data: bytes | memoryview, at: int, size: int, cpu: int, kind: RecordKind) -> Record:
        head = self._head.unpack_from(data, at)
        _size, told, nargs, tid, pid, key, end_ns, duration_ns, waiting_ns, result = head
        sequence = self._sequences.get(cpu, 0)
        self._sequences[cpu] = sequence + 1
        place = at + self._head.size
        nargs = min(nargs, 6, (size - self._head.size) // 8)
        args = self._args[nargs].unpack_from(data, place)
        place += 8 * nargs
        blobs = self._blobs(data, place, at + size) if at + size > place else _NO_BLOBS
        abi = _ABIS.get(key >> layout.KEY_NR_BITS, "")
        number = key & layout.KEY_NR_MASK
        if abi == "x32":
            number |= X32_BIT
        if told & layout.NO_RESULT:
            result = None
        # by their places: names would take twice as long
        if told & layout.NO_ENTER or duration_ns == layout.NO_TIME:
            return Record(kind, sequence, cpu, tid, pid, abi, number, args, None, None, None, result, end_ns, blobs)
        start_ns, took = end_ns - duration_ns, duration_ns if kind is RecordKind.CALL else None
        if waiting_ns > duration_ns:
            waiting_ns = duration_ns
        return Record(
            kind, sequence, cpu, tid, pid, abi, number, args, start_ns, took, waiting_ns, result, end_ns, blobs
        )

    def _blobs(self, data: bytes | memoryview, at: int, end: int) -> dict[int, Blob]:
        found = {}
        while end - at >= self._blob.size:
            length, argument, told, _unused = self._blob.unpack_from(data, at)
            at += self._blob.size
            if at + length > end:
                break
            kind = _BLOBS.get(told & 63)
            if kind is not None:
                content = bytes(data[at : at + length])
                found[argument] = Blob(kind, content, bool(told & layout.UNREAD), bool(told & layout.CUT))
            at += length + -length % 8
        return found
