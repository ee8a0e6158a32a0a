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
from tests.traces.written import lines, report_of

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


def test_commands_in_numbers_mean_the_same(tmp_path: Path) -> None:
    """Of `traces/analysis/raw_commands.py`."""
    words = (
        'openat(AT_FDCWD, "/srv/a", O_RDONLY) = 3 <0.000010>',
        "fcntl(3, F_DUPFD_CLOEXEC, 10) = 10 <0.000010>",
        "fcntl(3, F_SETFD, FD_CLOEXEC) = 0 <0.000010>",
        "dup(10) = 11 <0.000010>",
        "flock(11, LOCK_EX) = 0 <0.700000>",
        "flock(11, LOCK_UN) = 0 <0.000010>",
        "fcntl(11, F_SETLKW, {l_type=F_WRLCK}) = 0 <0.500000>",
        "futex(0x7f00, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 1, NULL, 0xffffffff) = 0 <0.250000>",
        "futex(0x7f00, FUTEX_WAKE_PRIVATE, 1) = 1 <0.000010>",
        'execve("/bin/x", ["x"], 0x1 /* 9 vars */) = 0 <0.000010>',
        'read(10, "", 9) = 0 <0.000010>',
        'read(3, "", 9) = 0 <0.000010>',
    )
    numbers = {
        "F_DUPFD_CLOEXEC": "0x406", "F_SETFD, FD_CLOEXEC": "0x2, 0x1", "LOCK_EX": "0x2", "LOCK_UN": "0x8",
        "F_SETLKW, {l_type=F_WRLCK}": "0x7, 0x7ffe",
        "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME": "0x189", "FUTEX_WAKE_PRIVATE": "0x81", "AT_FDCWD": "-100",
    }  # fmt: skip
    raw = lines(*words)
    for word, number in numbers.items():
        assert word in raw
        raw = raw.replace(word, number)
    found = [report_of(tmp_path, text) for text in (lines(*words), raw)]
    assert found[0].files == found[1].files
    first, second = ({each.subject: each.count for each in made.findings} for made in found)
    assert first == second
    assert first == {"/srv/a": 2, "0x7f00": 1}  # and no slow call
