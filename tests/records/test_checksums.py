"""A file of records that is not as it was written says so, and gives nothing of the part that is not.

Of `records/chunks.py`, `records/damage.py`, `records/completeness.py` and `records/arriving.py`.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import msgspec
import pytest

from straced.errors import OutputError
from straced.profiling.record_text import TextCopier
from straced.records import layout
from straced.records.arriving import ArrivingFile
from straced.records.reader import NoRecords, RecordFile
from straced.records.redacting import write_redacted
from straced.records.tailing import RecordTail
from straced.records.text.lines import TextLines
from straced.records.values import RecordKind
from tests.records.test_files import END, FACTS, blob, chunk, record, whole
from tests.support.cli import straced
from tests.support.records import check_flips, records_of

SECOND = chunk(layout.RECORDS, record(1, 20) + record(1, 40), 1)
"""Of `whole`."""


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


def end_times(path: Path) -> list[int]:
    return [each.end_ns for each in records_of(path)[0]]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_no_bit_is_another_one_unseen(tmp_path: Path, order: str) -> None:
    path = tmp_path / "t.strc"
    path.write_bytes(whole(order))
    assert records_of(path)[1] == []
    unused = whole(order).index(b"later") - 24  # a chunk that nobody reads
    step = 1 if order == "<" else 7
    check_flips(path, (place for place in range(0, len(whole()), step) if not unused + 24 <= place < unused + 32))


def test_what_is_cut_is_never_whole(tmp_path: Path) -> None:
    data, path = whole(), tmp_path / "t.strc"
    for size in range(len(data) - len(SECOND) - 200, len(data)):
        path.write_bytes(data[:size])
        assert "has no end" in records_of(path)[1][0]
    inside = data.index(SECOND) + len(SECOND) - 8
    path.write_bytes(data[:inside])
    found, told = records_of(path)
    assert 20 in [each.end_ns for each in found]
    assert f"its last {len(SECOND) - 32} bytes are of a piece that was cut" in told[1]


def test_a_damaged_piece_is_left_out_and_named(tmp_path: Path) -> None:
    path, at = tmp_path / "t.strc", whole().index(SECOND)
    path.write_bytes(damaged(whole(), at + 24 + 30))
    assert end_times(path) == [30, 50]
    told = records_of(path)[1]
    assert told[0].startswith(f"damaged: {len(SECOND) - 24} bytes from byte {at + 24} on (records of CPU 1")
    assert told[1:] == ["the file does not have the records that it says it has: openat 1 of 3"]
    later = chunk(layout.RECORDS, record(1, 2_000_000_003), 1)
    path.write_bytes(
        damaged(whole(), at + 24 + 30).replace(chunk(99, b"later"), chunk(layout.RECORDS, record(1, 4), 1))
    )
    with path.open("ab") as file:
        file.write(later)
    assert "after 0.000000 s and before 2.000000 s from the attach on" in records_of(path)[1][0]


def test_behind_a_damaged_head_the_next_piece_is_found(tmp_path: Path) -> None:
    path, at = tmp_path / "t.strc", whole().index(SECOND)
    forged = chunk(layout.RECORDS, record(1, 41), 1)  # as a target may have it in a path: it does not know the salt
    forged = forged[:20] + bytes(4) + forged[24:]
    inner = record(1, 20, args=(1, 2), blobs=blob(1, 1, forged)) + record(1, 40)
    data = whole().replace(SECOND, chunk(layout.RECORDS, inner, 1))
    path.write_bytes(damaged(data, at + 9))  # its length
    assert end_times(path) == [30, 50]
    assert f"damaged: {len(inner) + 24} bytes from byte {at} on (the head of a piece" in records_of(path)[1][0]
    path.write_bytes(data[:at] + bytes(len(data) - at))
    assert end_times(path) == [30]
    path.write_bytes(data + data)  # what is behind the end is no part of it
    assert sorted(end_times(path)) == [20, 30, 40, 50]
    assert f"{len(data):,} bytes of the file are no records" in records_of(path)[1][0]


def test_a_damaged_end_counts_nothing_and_damaged_facts_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "t.strc", whole()
    path.write_bytes(damaged(data, len(data) - 20))
    assert RecordFile(path).end is None
    assert "its end, which has what was counted" in records_of(path)[1][0]
    path.write_bytes(damaged(data, 60))
    with pytest.raises(NoRecords, match="whose records it has, by its checksum it is damaged"):
        RecordFile(path)


def test_looking_for_the_next_piece_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    marks = layout.CHUNK_MARK.to_bytes(4, "little") + bytes(4)
    path.write_bytes(whole()[: whole().index(SECOND)] + marks * 30_000 + SECOND)
    assert end_times(path) == [30]  # it was given up
    path.write_bytes(whole()[: whole().index(SECOND)])
    os.truncate(path, 1 << 40)
    assert end_times(path) == [30]


def test_what_descriptors_stand_for_is_forgotten_where_a_piece_is_missing(tmp_path: Path) -> None:
    path, place = tmp_path / "t.strc", whole().index(SECOND) + 24 + 30
    opened = record(1, 5, args=(0xFFFFFF9C, 2, 0, 0), blobs=blob(1, 1, b"/a"), result=3)
    first, last = (chunk(layout.RECORDS, each, 1) for each in (opened, record(1, 60, 3, args=(3,))))
    for data in (whole(), damaged(whole(), place)):
        path.write_bytes(data.replace(chunk(99, b"later"), first) + last)
        file = RecordFile(path)
        lines = TextLines(msgspec.structs.replace(file.facts, processes=()))
        text = b"".join(map(lines.feed, file)) + lines.flush()
        assert (b"close(3</a>)" in text, b"close(3)" in text) == ((True, False) if data == whole() else (False, True))


def test_whoever_follows_a_file_leaves_out_what_is_damaged(tmp_path: Path) -> None:
    path, at = tmp_path / "t.strc", whole().index(SECOND)
    for place, expected in ((at + 24 + 30, [30, 50]), (at + 9, [30])):
        path.write_bytes(damaged(whole(), place))
        with path.open("rb") as file:
            tail = RecordTail(file.fileno())
            found = [each for each in tail.records(None) if each.kind is not RecordKind.LOST]
        assert [each.end_ns for each in found] == expected
        assert tail.damaged


class Written:
    """What has written a file; nothing more comes."""

    facts, end = FACTS, END

    def read_up_to(self, position: int) -> None:
        assert position > 16


async def test_lines_of_what_is_damaged_are_missing_and_counted(tmp_path: Path) -> None:
    path, to = tmp_path / "t.strc", tmp_path / "t.txt"
    path.write_bytes(damaged(whole(), whole().index(SECOND) + 24 + 30))
    with path.open("r+b") as file, to.open("wb") as lines:
        copier = TextCopier(file.fileno(), Written(), lines.fileno(), header=True)
        copier.finish()
        await copier.run()
    assert copier.dropped == 2
    assert to.read_text().splitlines()[-1].startswith("strace: 3 lines were dropped")  # and one in the kernel


def test_what_arrives_is_looked_at(tmp_path: Path) -> None:
    for version in (1, 2):
        arriving = ArrivingFile()
        for at in range(0, len(whole(version=version)), 7):
            arriving.feed(whole(version=version)[at : at + 7])
        assert (arriving.facts, arriving.end) == (FACTS, END)
    for place in (3, 60, len(whole()) - 20):
        with pytest.raises(ValueError, match="records"):
            ArrivingFile().feed(damaged(whole(), place))


def test_a_copy_without_secrets_is_no_copy_of_what_is_damaged(tmp_path: Path) -> None:
    path, copy = tmp_path / "t.strc", tmp_path / "copy.strc"
    path.write_bytes(whole())
    with copy.open("wb") as file:
        write_redacted(RecordFile(path), file)
    assert records_of(copy) == records_of(path)
    path.write_bytes(damaged(whole(), whole().index(SECOND) + 60))
    with pytest.raises(OutputError, match=r"damaged: .* CPU 1"):
        write_redacted(RecordFile(path), io.BytesIO())


def test_a_report_of_a_damaged_file_says_so_and_has_a_status(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.strc", tmp_path / "bad.strc"
    good.write_bytes(whole())
    bad.write_bytes(damaged(whole(), whole().index(SECOND) + 60))
    done = straced("report", bad, "--json")
    report = json.loads(done.out)
    quality = report["summary"]["quality"]
    assert (done.status, quality["kind"], quality["lost"]) == (1, "lossy", None)
    assert "records of CPU 1" in next(each["text"] for each in quality["reasons"] if each["code"] == "damaged")
    (tmp_path / "report.json").write_text(done.out)
    done = straced("diff", good, tmp_path / "report.json")
    assert done.status == 1
    assert "damaged: " in done.out
