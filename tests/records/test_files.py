"""Files of records: what is whole of them is read, in order, whatever else they hold and wherever they were cut.

Of `records/layout.py`, `records/decoding.py`, `records/reader.py` and `records/tailing.py`.
"""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import msgspec
import pytest

from straced.records import layout
from straced.records.reader import NoRecords, RecordFile
from straced.records.tailing import LATE_NS, RecordTail
from straced.records.values import Blob, BlobKind, CallFates, Record, RecordingEnd, RecordingFacts, RecordKind

SALT = 0xC0FFEE
X86_64 = 1 << layout.KEY_NR_BITS
FACTS = RecordingFacts(
    straced="1", host="h", machine="x86_64", boot_id="b", epoch_ns=5, monotonic_ns=3, utc_offset_s=0, pid=7, follow=True
)
END = RecordingEnd(
    ended_ns=99, reason="exited", exact=True, calls={"openat": CallFates(4, lost=1), "read": CallFates(3, filtered=2)}
)


def record(
    kind: int,
    end_ns: int,
    number: int = 257,
    *,
    args: tuple[int, ...] = (),
    blobs: bytes = b"",
    result: int = 0,
    duration_ns: int = 10,
    order: str = "<",
) -> bytes:
    """One as the kernel's programs write it."""
    head = struct.Struct(order + layout.RECORD_HEAD)
    size = head.size + 8 * len(args) + len(blobs)
    values = (size, kind, len(args), 11, 10, X86_64 | number, end_ns, duration_ns, 4, result)
    return head.pack(*values) + struct.pack(f"{order}{len(args)}Q", *args) + blobs


def blob(argument: int, kind: int, data: bytes, order: str = "<") -> bytes:
    """One behind a record's arguments."""
    return struct.pack(order + layout.BLOB_HEAD, len(data), argument, kind, 0) + data + bytes(-len(data) % 8)


def head(kind: int, size: int, cpu: int = layout.NO_CPU, order: str = "<") -> bytes:
    """What a piece of a file without checksums begins with."""
    return struct.pack(order + layout.CHUNK_HEAD, layout.CHUNK_MARK, kind, cpu, size)


def chunk(kind: int, data: bytes, cpu: int = layout.NO_CPU, order: str = "<", version: int = 2) -> bytes:
    """A piece of a file."""
    filled = data + bytes(-len(data) % 8)
    begin = head(kind, len(data), cpu, order)
    if version == 1:
        return begin + filled
    begin += struct.pack(order + "I", zlib.crc32(filled))
    return begin + struct.pack(order + "I", zlib.crc32(begin, SALT)) + filled


def whole(order: str = "<", version: int = 2) -> bytes:
    """A file with two CPUs, a kind of chunk and a kind of record that nobody knows, and padding."""
    opened = record(1, 30, args=(1, 2, 3, 4), blobs=blob(1, 1, b"/a\xff", order), result=-2, order=order)
    unknown = record(60, 31, order=order)
    padding = struct.pack(order + "Q", 16) + bytes(8) if order == "<" else struct.pack(">HHIQ", 16, 0, 0, 0)
    chunks = (
        (layout.FACTS, msgspec.msgpack.encode(FACTS), layout.NO_CPU),
        (99, b"later", layout.NO_CPU),
        (layout.RECORDS, opened + unknown + padding, 0),
        (layout.RECORDS, record(1, 20, order=order) + record(1, 40, order=order), 1),
        (layout.RECORDS, record(2 | layout.NO_RESULT, 50, 0, args=(0, 1, 2), order=order), layout.NO_CPU),
        (layout.END, msgspec.msgpack.encode(END), layout.NO_CPU),
    )
    begin = struct.pack(order + layout.FILE_HEAD, layout.MAGIC, version, layout.ORDER, SALT if version == 2 else 0)
    return begin + b"".join(chunk(*each, order, version) for each in chunks)


@pytest.mark.parametrize("version", [1, 2], ids=["0.2.0", "checksums"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_records_of_all_cpus_come_in_the_order_of_their_ends(tmp_path: Path, order: str, version: int) -> None:
    (tmp_path / "t.strc").write_bytes(whole(order, version))
    file = RecordFile(tmp_path / "t.strc")
    assert (file.facts, file.end) == (FACTS, END)
    found = list(file)
    assert [(each.cpu, each.sequence, each.end_ns) for each in found] == [
        (1, 0, 20),
        (0, 0, 30),
        (1, 1, 40),
        (-1, 0, 50),
    ]
    assert found[1] == Record(
        kind=RecordKind.CALL,
        sequence=0,
        cpu=0,
        tid=11,
        pid=10,
        abi="x86_64",
        number=257,
        args=(1, 2, 3, 4),
        start_ns=20,
        duration_ns=10,
        waiting_ns=4,
        result=-2,
        end_ns=30,
        blobs={1: Blob(BlobKind.PATH, b"/a\xff")},
    )
    assert (found[3].kind, found[3].result, found[3].duration_ns, found[3].start_ns) == (
        RecordKind.START,
        None,
        None,
        40,
    )


@pytest.mark.parametrize("version", [1, 2], ids=["0.2.0", "checksums"])
def test_what_is_whole_of_a_cut_file_is_read(tmp_path: Path, version: int) -> None:
    data, path = whole(version=version), tmp_path / "t.strc"
    path.write_bytes(data)
    every = list(RecordFile(path))
    begin = data.index(head(99, 5))
    counts = []
    for size in range(begin, len(data)):
        path.write_bytes(data[:size])
        file = RecordFile(path)
        found = list(file)
        assert {each.end_ns for each in found} <= {each.end_ns for each in every}
        assert file.end is None or (version == 1 and size > len(data) - 8)
        counts.append(len(found))
    assert counts == sorted(counts)
    assert set(counts) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no file of records"),
        (b"1 execve(...) = 0\n", "no file of records"),
        (whole()[:16], "whose records"),
        (struct.pack("<" + layout.FILE_HEAD, layout.MAGIC, 3, layout.ORDER, 0), "version 3"),
        (whole(version=1).replace(b"x86_64", b"x86\x80\xff4"), "whose records"),
    ],
)
def test_what_is_no_file_of_records_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(NoRecords, match=words):
        RecordFile(tmp_path / "t")


def test_what_an_exec_tells_is_in_its_call(tmp_path: Path) -> None:
    begun = record(4, 10, 0, blobs=blob(0, 1, b"/bin/true") + blob(1, 6, b"true\0"), duration_ns=layout.NO_TIME)
    records = begun + record(1, 20, 59) + record(1, 30, 59, result=-2)
    path = tmp_path / "t.strc"
    path.write_bytes(whole()[:16] + chunk(1, msgspec.msgpack.encode(FACTS)) + chunk(layout.RECORDS, records, 0))
    _begun, execve, failed = RecordFile(path)
    assert execve.blobs == {0: Blob(BlobKind.PATH, b"/bin/true"), 1: Blob(BlobKind.WORDS, b"true\0")}
    assert failed.blobs == {}


@pytest.mark.parametrize("version", [1, 2], ids=["0.2.0", "checksums"])
def test_a_file_is_read_while_it_grows(tmp_path: Path, version: int) -> None:
    data, path = whole(version=version), tmp_path / "t.strc"
    path.write_bytes(data)
    every = list(RecordFile(path))
    path.write_bytes(b"")
    found: list[Record] = []
    with open(path, "r+b", buffering=0) as file:
        tail = RecordTail(file.fileno())
        for at in range(0, len(data), 7):
            file.seek(at)
            file.write(data[at : at + 7])
            found += tail.records(25)
        assert [each.end_ns for each in found] == [20]
        found += tail.records(None)
    assert found == every


def test_a_file_that_grows_faster_than_it_is_read_is_read_in_rounds(tmp_path: Path) -> None:
    """Each is bounded, and gives nothing of which an older one may stand in what was not read yet."""
    path = tmp_path / "t.strc"
    piece, step = 1000, LATE_NS // 10
    with path.open("wb") as file:
        file.write(whole()[:16])
        for number in range(200):  # two CPUs in turn, the second a moment behind
            at = number // 2 * step - (number % 2) * step // 2
            data = b"".join(record(1, 10 * LATE_NS + at + each) for each in range(piece))
            file.write(chunk(layout.RECORDS, data, number % 2))
    found: list[int] = []
    rounds = 0
    with path.open("rb") as file:
        tail = RecordTail(file.fileno())
        while not rounds or tail.behind:
            new = [each.end_ns for each in tail.records(None)]
            assert len(new) < 100 * piece
            found += new
            rounds += 1
    assert rounds > 3
    assert len(found) == 200 * piece
    assert found == sorted(found)


def test_a_file_without_checksums_that_lacks_records_says_so(tmp_path: Path) -> None:
    data, path = whole(version=1), tmp_path / "t.strc"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        file = RecordFile(path)
        list(file)
        return " ".join(file.troubles())

    assert said(data) == ""
    assert f"{len(data):,} bytes of the file are no records" in said(data + data)
    second = data.index(chunk(layout.RECORDS, record(1, 20) + record(1, 40), 1, version=1))
    damaged = said(data[:second] + b"\0" + data[second + 1 :])
    assert f"{len(data) - second:,} bytes of the file are no records" in damaged
    assert "has no end" in damaged
    assert "has no checksums: what is left may be wrong, too" in damaged
    inside = second + struct.calcsize("<" + layout.CHUNK_HEAD)
    assert f"{2 * len(record(1, 20))} bytes of the file are no records" in said(
        data[:inside] + b"\0" + data[inside + 1 :]
    )
    torn = said(data[: inside + 20])
    assert "has no end" in torn
    assert "no records" not in torn
    unknown = msgspec.msgpack.encode(END).replace(b"exited", b"exit\xff\xff")
    assert "has no end" in said(data.replace(msgspec.msgpack.encode(END), unknown))
    inexact = chunk(layout.END, msgspec.msgpack.encode(msgspec.structs.replace(END, exact=False)), version=1)
    assert "nobody knows" in said(data.replace(chunk(layout.END, msgspec.msgpack.encode(END), version=1), inexact))


def test_records_that_do_not_add_up_to_what_was_counted_are_told(tmp_path: Path) -> None:
    path, before = tmp_path / "t.strc", record(7 | layout.NO_RESULT | layout.NO_ENTER, 60)
    path.write_bytes(whole() + chunk(layout.RECORDS, before))  # one from before the recording is not among the counted
    file = RecordFile(path)
    assert [each.kind for each in file][-1] is RecordKind.BEFORE
    assert file.troubles() == []
    both = record(1, 20) + record(1, 40), record(1, 20) + record(61, 40)
    path.write_bytes(whole().replace(*(chunk(layout.RECORDS, each, 1) for each in both)))
    file = RecordFile(path)
    assert file.troubles() == []  # nobody has counted yet
    list(file)
    assert file.troubles() == ["the file does not have the records that it says it has: openat 2 of 3"]


def test_a_chunk_of_any_length_is_read_in_pieces(tmp_path: Path) -> None:
    path, filled = tmp_path / "t.strc", 3 << 19
    one = record(1, 20, blobs=blob(1, 1, bytes(1000)))
    several = one * (filled // len(one))
    path.write_bytes(whole(version=1) + head(layout.RECORDS, 1 << 40, 0) + several)
    os.truncate(path, 1 << 40)
    tracemalloc.start()
    try:
        file = RecordFile(path)
        assert sum(1 for _ in file) == 4 + filled // len(one)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "are no records" in file.troubles()[0]
