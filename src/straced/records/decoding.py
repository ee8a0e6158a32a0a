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

    def records(self, data: bytes | memoryview, cpu: int) -> Generator[Record, None, int]:
        """Decode the whole records of a piece of one CPU's ring; a torn one at the end is left out.

        Args:
            data: what was copied from it.
            cpu: its number; -1 for START records.

        Returns:
            How many bytes the whole ones are.
        """
        at, end = 0, len(data)
        while end - at >= 8:
            size = int.from_bytes(data[at : at + 2], "big" if self._head.format[0] == ">" else "little")
            if size < 8 or size % 8 or at + size > end:
                break
            if size >= self._head.size and (kind := _KINDS.get(data[at + 2] & 63)) is not None:
                yield self._record(data, at, size, cpu, kind)
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
        abi = _ABIS.get(key >> layout.KEY_NR_BITS, "")
        number = key & layout.KEY_NR_MASK
        seen = not told & layout.NO_ENTER and duration_ns != layout.NO_TIME
        return Record(
            kind=kind,
            sequence=sequence,
            cpu=cpu,
            tid=tid,
            pid=pid,
            abi=abi,
            number=number | X32_BIT if abi == "x32" else number,
            args=self._args[nargs].unpack_from(data, place),
            start_ns=end_ns - duration_ns if seen else None,
            duration_ns=duration_ns if seen and kind is RecordKind.CALL else None,
            waiting_ns=min(waiting_ns, duration_ns) if seen else None,
            result=None if told & layout.NO_RESULT else result,
            end_ns=end_ns,
            blobs=self._blobs(data, place + 8 * nargs, at + size),
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
