"""A file of records for others: the same records, without the secrets in paths, addresses and command lines."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from msgspec import structs

from straced.errors import OutputError
from straced.records import layout
from straced.records.layout import FileLayout
from straced.records.reader import RecordFile
from straced.records.values import BlobKind, OpenDescriptor, RecordedProcess, RecordingFacts, RecordKind
from straced.text.redaction import redact, redact_words

_UNIX = 1
"""Of AF_UNIX: an address that is a path."""
_KINDS = frozenset(map(int, RecordKind))


def write_redacted(file: RecordFile, to: BinaryIO) -> None:
    """Write a file of records anew; chunks and records of kinds that nobody here knows are left out.

    Args:
        file: the records.
        to: an empty file.

    Raises:
        OSError: it cannot be read or written.
        OutputError: it is damaged: what is written here has checksums of its own, and would pass for whole.
    """
    form = FileLayout(file.byte_order)
    to.write(form.file_head())
    to.write(form.chunk(layout.FACTS, msgspec.msgpack.encode(_facts(file.facts))))
    for cpu, data in file.pieces():
        to.write(form.chunk(layout.RECORDS, b"".join(_records(data, form.order)), cpu))
    if damage := file.damage():
        raise OutputError(f"what was recorded is {damage[0]}", hint="look after the disk, and take it again elsewhere")
    if file.end is not None:
        to.write(form.chunk(layout.END, msgspec.msgpack.encode(file.end)))


def _facts(facts: RecordingFacts) -> RecordingFacts:
    return structs.replace(facts, processes=tuple(map(_process, facts.processes)))


def _process(each: RecordedProcess) -> RecordedProcess:
    return structs.replace(
        each,
        comm=_bytes(each.comm),
        exe=_bytes(each.exe),
        argv=tuple(_words(each.argv)),
        cwd=_bytes(each.cwd),
        threads={tid: _bytes(name) for tid, name in each.threads.items()},
        descriptors={
            number: OpenDescriptor(_bytes(one.link), redact(one.name)) for number, one in each.descriptors.items()
        },
    )


def _records(data: bytes, order: str) -> Iterator[bytes]:
    head, blob = struct.Struct(order + layout.RECORD_HEAD), struct.Struct(order + layout.BLOB_HEAD)
    size_of = struct.Struct(order + "H")
    at = 0
    while len(data) - at >= 8:
        (size,) = size_of.unpack_from(data, at)
        if size < 8 or size % 8 or at + size > len(data):
            return
        if size >= head.size and data[at + 2] & 63 in _KINDS:
            place = at + head.size + 8 * min(data[at + 3], (size - head.size) // 8)
            body = data[at + 2 : place] + b"".join(_blobs(data, place, at + size, blob))
            yield size_of.pack(2 + len(body)) + body
        at += size


def _blobs(data: bytes, at: int, end: int, head: struct.Struct) -> Iterator[bytes]:
    while end - at >= head.size:
        length, argument, kind, unused = head.unpack_from(data, at)
        at += head.size
        if at + length > end:
            return
        content = _content(kind & 63, data[at : at + length])
        yield head.pack(len(content), argument, kind, unused) + content + bytes(-len(content) % 8)
        at += length + -length % 8


def _content(kind: int, data: bytes) -> bytes:
    match kind:
        case BlobKind.PATH:
            return _bytes(data)
        case BlobKind.WORDS:
            return b"\0".join(_words(data.removesuffix(b"\0").split(b"\0"))) + b"\0"
        case BlobKind.ADDRESS_IN | BlobKind.ADDRESS_OUT if int.from_bytes(data[:2], "little") == _UNIX:
            return data[:2] + _bytes(data[2:])
    return data


def _bytes(data: bytes) -> bytes:
    return redact(data.decode("latin-1")).encode("latin-1")


def _words(words: tuple[bytes, ...] | list[bytes]) -> list[bytes]:
    return [word.encode("latin-1") for word in redact_words([word.decode("latin-1") for word in words])]
