"""What records tell of waiting, in all that is made of them: by call, file, process, thread, finding; unknown stays so.

Of `traces/parsing/line.py`, `traces/analysis/file_stats.py`, `traces/analysis/lock_waits.py` and
`traces/report/lanes.py`.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from msgspec import structs

from straced.model.types import SyscallStats
from straced.records import layout
from straced.records.reader import RecordFile
from straced.records.values import CallFates, RecordingEnd, RecordKind
from straced.syscalls import native_abi, number_of
from straced.traces.native import choice
from straced.traces.parsing.line import parse_line, without_waiting
from straced.traces.report.closeup import look_closer
from straced.traces.report.load import load_reading
from straced.traces.report.request import ReportRequest
from straced.traces.values import FileReport
from straced.views.text.report import render
from straced.views.text.summary import plain
from straced.workflows.report import as_lines, make, profile_of
from tests.records.made import PID, facts
from tests.records.test_files import blob
from tests.support.cli import straced
from tests.traces.differ import differs
from tests.traces.recorded import report

MS = 1_000_000
ABIS = ("x86_64", "i386", "x32", "arm64", "arm")


def made_record(name: str, at_ms: int, took_ns: int, waiting_ns: int, *args: int, tid: int = PID, result: int = 0,
            blobs: bytes = b"", kind: int = RecordKind.CALL) -> bytes:  # fmt: skip
    abi = native_abi()
    number = number_of(name, abi)
    assert number is not None
    key = (ABIS.index(abi) + 1) << layout.KEY_NR_BITS | number
    size = struct.calcsize("=" + layout.RECORD_HEAD) + 8 * len(args) + len(blobs)
    end = at_ms * MS + took_ns
    head = (size, kind, len(args), tid, PID, key, end, took_ns, waiting_ns, result)
    return struct.pack("=" + layout.RECORD_HEAD, *head) + struct.pack(f"={len(args)}Q", *args) + blobs


def written_records(path: Path, *records: bytes) -> Path:
    whose = facts()
    process = structs.replace(whose.processes[0], threads={PID: b"x", PID + 1: b"y"})
    end = RecordingEnd(ended_ns=9, reason="exited", exact=False, calls={"read": CallFates(0)})
    form = layout.FileLayout()
    path.write_bytes(
        form.file_head()
        + form.chunk(layout.FACTS, msgspec.msgpack.encode(structs.replace(whose, processes=(process,))))
        + form.chunk(layout.RECORDS, b"".join(records), 0)
        + form.chunk(layout.END, msgspec.msgpack.encode(end))
    )
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A file that is opened, read by two threads and written to disk; and a call that never returned."""
    opened = blob(1, 1, b"/data")
    return written_records(
        tmp_path / "t.strc",
        made_record("openat", 1, 5_000, 0, (1 << 64) - 100, 0x1000, 0, 0, result=3, blobs=opened),
        made_record("read", 2, 9_000, 8_123, 3, 0x2000, 100, result=100),
        made_record("read", 3, 7_000, 6_000, 3, 0x2000, 100, result=100, tid=PID + 1),
        made_record("fsync", 4, 20 * MS, 19 * MS + 1, 3),
        made_record("close", 30, 1_000, 0, 3),
        made_record("exit_group", 40, 0, 0, 0, kind=RecordKind.UNFINISHED | layout.NO_RESULT),
    )


def _times(row: SyscallStats | FileReport) -> tuple[int | None, int | None]:
    return row.wall_ns, row.waiting_ns


def test_waiting_is_told_by_call_file_process_thread_and_finding(recorded: Path) -> None:
    made = report(recorded)  # by both readers
    rows = made.summary.syscalls
    assert _times(rows["read"]) == (16_000, 14_123)
    assert rows["read"].working_ns == 16_000 - 14_123
    assert _times(rows["openat"]) == (5_000, 0)
    assert _times(rows["exit_group"]) == (None, None)
    whole = 20 * MS + 22_000, 19 * MS + 1 + 14_123
    assert (made.summary.total.wall_ns, made.summary.total.waiting_ns) == whole
    assert [(file.path, *_times(file)) for file in made.files] == [("/data", *whole)]
    assert [(each.wall_ns, each.waiting_ns) for each in made.processes] == [whole]
    assert {each.tid: each.waiting_ns for each in made.threads} == {PID: whole[1] - 6_000, PID + 1: 6_000}
    assert {each.code: each.waiting_ns for each in made.findings} == {"fsync": 19 * MS + 1, "slow_call": 19 * MS + 1}
    assert [each.waiting_ns for each in made.slowest][:2] == [19 * MS + 1, 8_123]
    assert made.slowest[0].text.endswith(" = 0 <0.020000000>")


def test_a_selection_and_the_counts_alone_tell_it_too(recorded: Path) -> None:
    chosen = json.loads(straced("report", recorded, "--json", "--syscall", "read").out)
    assert chosen["summary"]["total"]["waiting_ns"] == chosen["files"][0]["waiting_ns"] == 14_123
    counts = json.loads(straced("report", recorded, "--json", "--counts").out)
    assert counts["summary"]["total"]["waiting_ns"] == 19 * MS + 1 + 14_123


def test_the_views_have_a_column_of_it(recorded: Path) -> None:
    told = plain(render(make(ReportRequest(file=str(recorded)))))
    assert "took   waiting" in told
    assert "time  waiting  path" in told
    assert "(19 ms waiting; line" in told
    assert "+" not in told.partition("Slowest calls")[2]
    assert "19 ms -> 19 ms" in straced("diff", recorded, recorded).out


def test_the_second_look_tells_it_by_thread_and_call(recorded: Path) -> None:
    request = ReportRequest(file=str(recorded))
    with as_lines(request) as lines:
        reading = load_reading(lines)
        closer = look_closer(lines, reading, make(lines))
    assert closer is not None
    assert {lane.tid: lane.waiting_ns for lane in closer.lanes}[PID + 1] == 6_000
    assert max(call.waiting_ns or 0 for call in closer.long_calls) == 19 * MS + 1
    assert not any("+0." in text for text in closer.lines.values())


def test_exports_have_it(recorded: Path, tmp_path: Path) -> None:
    straced("report", recorded, "--ndjson", tmp_path / "calls", "--perfetto", tmp_path / "line")
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call["waiting_ns"] for call in calls if call["name"] == "read"] == [8_123, 6_000]
    events = json.loads((tmp_path / "line").read_text())["traceEvents"]
    assert [each["args"]["waiting_us"] for each in events if each["name"] == "fsync"] == [19_000.001]


def test_a_difference_compares_it_and_a_rule_may_ask_for_it(recorded: Path) -> None:
    profile = profile_of(str(recorded))
    assert profile.syscalls["read"].waiting_ns == 14_123
    assert profile.paths is not None
    assert profile.paths["/data"].waiting_ns == profile.total.waiting_ns
    assert straced("diff", recorded, recorded, "--fail-on", "fsync.waiting>1ms").status == 1
    assert straced("diff", recorded, recorded, "--fail-on", "fsync.waiting>+0ns").status == 2
    assert straced("diff", recorded, recorded, "--fail-on", "fsync.waiting>+1us").status == 0


TEXT = b'70 1790000000.000000 read(3, ""..., 9) = 9 <0.000009>\n70 1790000001.000000 fsync(3) = 0 <0.020000>\n'


def test_of_a_trace_by_strace_it_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    made = report(path)
    summary = made.summary
    figures = (
        summary.total.waiting_ns, summary.total.working_ns, *(row.waiting_ns for row in summary.rows),
        *(file.waiting_ns for file in made.files), *(each.waiting_ns for each in made.findings),
        *(each.waiting_ns for each in made.threads), *(each.waiting_ns for each in made.processes),
        *(each.waiting_ns for each in made.slowest),
    )  # fmt: skip
    assert set(figures) == {None}
    assert "waiting" not in plain(render(made)).partition("Findings")[2]
    assert straced("diff", path, path, "--fail-on", "fsync.waiting>1ms").status == 2


def test_where_one_call_does_not_tell_it_no_sum_has_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(TEXT.replace(b"<0.020000>", b"<0.020000000+0.019000001>"))
    made = report(path)
    assert {row.name: row.waiting_ns for row in made.summary.rows} == {"read": None, "fsync": None}
    assert [each.waiting_ns for each in made.files] == [None]


@pytest.mark.parametrize(
    ("tail", "times"),
    [
        (b"<0.020000000+0.019000001>", (20 * MS, 19 * MS + 1)),
        (b"<0.020000000>", (20 * MS, None)),
        (b"<0.020000000+0.019>", (None, None)),
        (b"<0.02+>", (None, None)),
        (b"<+0.019000001>", (None, None)),
        (b"<0.02+0.019000001+0.019000001>", (None, None)),
        (b"<12345678.020000000+12345678.000000001>", (12345678020 * MS, 12345678 * 10**9 + 1)),
    ],
)
def test_a_line_tells_it_behind_its_duration(tail: bytes, times: tuple[int | None, int | None]) -> None:
    line = b"70 1790000001.000000 fsync(3) = 0 " + tail
    value = parse_line(line)
    assert value is not None
    assert (value.duration_ns, value.waiting_ns) == times
    assert without_waiting(line) == (line if times[1] is None else line[: line.index(b"+")] + b">")
    assert not differs(TEXT + line + b"\n" + line.replace(b"= 0", b"= -1 EIO (Input/output error)") + b"\n")


@pytest.mark.needs("ebpf")
def test_the_sums_of_a_report_are_those_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    script = "import os, time; [os.stat('/') for _ in range(50)]; time.sleep(0.01); os.system('ls / >/dev/null')"
    assert straced("trace", "-o", path, "--", "python3", "-I", "-S", "-c", script).status == 0
    waiting: Counter[str] = Counter()
    for record in RecordFile(path):
        if record.kind is RecordKind.CALL and record.duration_ns is not None:
            waiting[record.label] += record.waiting_ns or 0
    assert waiting["wait4"] > 0
    for reader in ("native", "python"):
        with mock.patch.dict(os.environ, {choice.CHOICE: reader}):
            rows = make(ReportRequest(file=str(path))).summary.rows
        told = {row.name: row.waiting_ns for row in rows if row.waiting_ns is not None}
        assert told == {name: waiting[name] for name in told}
        assert sum(told.values()) == sum(waiting.values())
