"""What is remembered of a trace to read it faster changes nothing in what is found.

Of `traces/analysis/decoders.py`, `traces/analysis/effects.py` and `traces/analysis/fd_table.py`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from straced.traces.analysis import decoded_call, ordered_pass, tasks
from straced.traces.parsing import source
from tests.traces.recorded import record, report

SCRIPT = "for i in 1 2 3; do ls /nope /etc | cat > out; (cat out; exec ls out); done; cat out out out | wc -c"


@pytest.mark.parametrize("flags", [("-f", "-ttt", "-T"), ("-f", "-ttt", "-T", "-yy"), ("-f",)])
def test_forgetting_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    path = record(tmp_path, ["sh", "-c", SCRIPT], flags)
    path.write_bytes(path.read_bytes() * 2)
    whole = msgspec.json.encode(report(path))
    monkeypatch.setattr(decoded_call, "_MOST_TEXTS", 5)
    monkeypatch.setattr(ordered_pass, "_MOST_DURATIONS", 3)
    monkeypatch.setattr(tasks, "_MOST_IDLE", 0)
    monkeypatch.setattr(source, "BLOCK_BYTES", 4096)  # tasks are forgotten between blocks
    assert msgspec.json.encode(report(path)) == whole
    monkeypatch.setattr(decoded_call, "_LONGEST_TEXT_BYTES", -1)
    assert msgspec.json.encode(report(path)) == whole


def test_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_call, "_MOST_TEXTS", 10)
    texts = decoded_call.DecodedTexts()
    reads, writes = texts.of("read"), texts.of("write")
    most = 0
    for number in range(1000):
        texts.keep(("read", "write")[number % 2], b"%d" % number, decoded_call.NOTHING)
        most = max(most, len(reads) + len(writes))
    assert most == 10
    texts.keep("read", b"x" * 10_000, decoded_call.NOTHING)
    assert b"x" * 10_000 not in reads


def test_the_data_of_a_transfer_is_no_part_of_what_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "t"
    lines = [b'9 1.000000 open("/a", O_RDONLY) = 3 <0.000010>\n9 1.000001 open("/b", O_RDONLY) = 4 <0.000010>\n']
    for number in range(300):
        lines.append(b'9 1.000002 read(%d, "%d = 7", 100) = 7 <0.000010>\n' % (3 + number % 2, number))
        lines.append(b'9 1.000003 read(%d, "", %d) = 0 <0.000010>\n' % (3 + number % 2, number))
    path.write_bytes(b"".join(lines))
    files = {file.path: file for file in report(path).files}
    assert (files["/a"].in_bytes, files["/b"].in_bytes) == (150 * 7, 150 * 7)
    assert (files["/a"].calls, files["/b"].calls) == (301, 301)
