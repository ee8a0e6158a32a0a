"""The reader of one line of a trace: lines of every version's form, damaged ones, and real strace runs.

Of `traces/parsing/argument_names.py` and `traces/parsing/strings.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from straced.traces.parsing.line import TraceLine, parse_line
from tests.traces.recorded import MIXED, record

FORMS = [
    (["-t"], "day", False),
    (["-tt", "-T"], "day", True),
    (["-ttt", "-T", "-yy", "-s", "128"], "epoch", True),
    (["-r"], "relative", False),
    (["-r", "-t"], "day", False),
    (["-ttt", "-T", "-i", "-n", "-y", "-Y"], "epoch", True),
    (["-X", "raw"], None, False),
    (["-tt", "-T", "-k", "-e", "trace=!mmap,read,lseek"], "day", True),
]


@pytest.mark.parametrize(("flags", "clock", "durations"), FORMS)
def test_real_traces(tmp_path: Path, flags: list[str], clock: str | None, durations: bool) -> None:
    data = record(tmp_path, MIXED, ("-f", *flags)).read_bytes()
    lines = [(line, parse_line(line)) for line in data.splitlines()]
    unread = [line for line, value in lines if value is None]
    assert not unread, unread[:3]
    values = [value for _, value in lines if value is not None and value.kind != "note"]
    assert all(value.pid for value in values)
    assert {value.clock for value in values} == {clock}
    returned = [value for value in values if value.kind in ("call", "resumed")]
    assert all((value.duration_ns is not None) == durations for value in returned if value.value is not None)
    kinds = Counter(value.kind for value in values)
    assert kinds["cut"] == 0
    assert kinds["unfinished"] >= kinds["resumed"] > 0
    misses = [value for value in returned if b"/nope" in value.args and value.name != "execve"]
    assert len(misses) == 17
    assert all(value.errno == "ENOENT" and value.value == -1 for value in misses)
    assert {"SIGUSR1", "SIGCHLD"} <= {value.name for value in values if value.kind == "signal"}
    assert sorted(value.status for value in values if value.kind == "exited" and value.status) == [3, 7]
    assert [value.name for value in values if value.kind == "killed"] == ["SIGKILL"]
    if "-yy" in flags or "-y" in flags:
        paths = [value.path for value in returned if value.name == "openat" and b"/dev/null" in value.args]
        assert paths
        assert paths[0] is not None
        assert paths[0].startswith(b"/dev/null")


def test_every_prefix_of_a_real_trace(tmp_path: Path) -> None:
    argv = ("sh", "-c", "ls /nope; cat /dev/null; exit 7")
    data = record(tmp_path, argv, ("-f", "-ttt", "-T", "-yy")).read_bytes()
    whole = [parse_line(line) for line in data.splitlines()]
    start = 0
    for index, line in enumerate(data.splitlines(keepends=True)):
        for cut in range(len(line)):
            value = parse_line(line[:cut])
            right = whole[index]
            assert right is not None
            if value is not None and value.kind not in ("note", "cut") and right.kind == value.kind:
                assert value.name == right.name
        start += len(line)
    assert start == len(data)


@settings(max_examples=300)
@given(st.data())
def test_damaged_lines_do_not_raise(data: st.DataObject) -> None:
    line = data.draw(st.sampled_from([known for known, _ in KNOWN]))
    place = data.draw(st.integers(0, len(line)))
    parse_line(line[:place] + data.draw(st.binary(max_size=6)) + line[place + data.draw(st.integers(0, 9)) :])


KNOWN: list[tuple[bytes, dict[str, object]]] = [
    (
        b'12    read(3, "a) = 5", 9) = 5 <0.000123>',
        {"pid": 12, "value": 5, "args": b'3, "a) = 5", 9', "duration_ns": 123000},
    ),
    (b"[pid    12] close(3)                     = 0", {"pid": 12, "name": "close", "args": b"3", "value": 0}),
    (b"[pid 12<a b>] getpid() = 12<a b>", {"pid": 12, "comm": b"a b", "value": 12, "path": b"a b"}),
    (b"12<sh> 1700000000.123456 getpid() = 12", {"pid": 12, "comm": b"sh", "clock": "epoch"}),
    (b"1700000000.5 brk(NULL) = 0x55e0", {"pid": None, "clock_ns": 1700000000_500000000, "value": 0x55E0}),
    (b"1700000000 brk(NULL) = 0x55e0", {"pid": None, "clock_ns": 1700000000 * 10**9}),
    (b"12345 23:59:59.000001 pause() = ? ERESTARTNOHAND (To be restarted)", {"errno": "ERESTARTNOHAND", "value": None}),
    (b"     0.000012 pause() = ?", {"clock": "relative", "clock_ns": 12000, "value": None, "errno": None}),
    (b"7     10:00:00 (+     0.000012) getpid() = 7", {"pid": 7, "clock": "day", "clock_ns": 36000 * 10**9}),
    (b'7     open("/a", O_RDONLY) = 3</tmp/a) = 5>', {"value": 3, "path": b"/tmp/a) = 5"}),
    (b'7     open("/a", O_RDONLY) = 3</tmp/a) = 5 (x>', {"value": 3, "path": b"/tmp/a) = 5 (x"}),
    (
        b'7     open("/a", O_RDONLY) = 3</tmp/a <0.5> <0.000009>',
        {"value": 3, "path": b"/tmp/a <0.5", "duration_ns": 9000},
    ),
    (b"7     socket(AF_INET, 1, 0) = 3<TCP:[1.1.1.1:1->2.2.2.2:2]> <12.000001>", {"duration_ns": 12_000_001_000}),
    (b"7     poll([{fd=3}], 1, 0) = 0 (Timeout) <1>", {"result": b"0 (Timeout)", "duration_ns": 10**9}),
    (b'7     openat(AT_FDCWD, "x") = -1 ENOENT (No such file or directory)', {"errno": "ENOENT", "value": -1}),
    (b"7     exit_group(0)                     = ?", {"name": "exit_group", "value": None, "result": b"?"}),
    (b"7     <... futex resumed>) = ? <unavailable>", {"kind": "resumed", "name": "futex"}),
    (b'7     <... read resumed>"x", 1) = 1 <0.000001>', {"kind": "resumed", "args": b'"x", 1', "value": 1}),
    (b'7     <... read resumed> "x", 1) = 1', {"kind": "resumed", "args": b'"x", 1', "duration_ns": None}),
    (b"7     read(0,  <unfinished ...>", {"kind": "unfinished", "args": b"0,"}),
    (b"7     read(0,  <detached ...>", {"kind": "detached", "args": b"0,"}),
    (b"7     ???( <detached ...>", {"kind": "detached", "name": "???"}),
    (b'7     read(0, "ab', {"kind": "cut", "name": "read"}),
    (b"7     restart_syscall(<... resuming interrupted read ...>) = 1", {"name": "restart_syscall", "value": 1}),
    (b"7     syscall_0x1ce(0x1, 0x2) = -1 ENOSYS (Function not implemented)", {"name": "syscall_0x1ce"}),
    (b"7     --- SIGINT {si_signo=SIGINT, si_code=SI_KERNEL} ---", {"kind": "signal", "name": "SIGINT"}),
    (b"7     --- stopped by SIGSTOP ---", {"kind": "stopped", "name": "SIGSTOP"}),
    (b"7     +++ exited with 7 +++", {"kind": "exited", "status": 7}),
    (b"7     +++ killed by SIGKILL (core dumped) +++", {"kind": "killed", "name": "SIGKILL", "core": True}),
    (b"7     +++ superseded by execve in pid 9 +++", {"kind": "superseded", "other_pid": 9}),
    (b"[ Process PID=7 runs in 32 bit mode. ]", {"kind": "abi", "pid": 7, "abi": "i386"}),
    (b"strace: Process 9 attached", {"kind": "note"}),
    (b"[pid 7] 10:00:00 vfork(strace: Process 9 attached", {"kind": "unfinished", "name": "vfork", "args": b""}),
    (b" <unfinished ...>", {"kind": "note"}),
    (b"[00007f1234567890] [  39] getpid() = 7", {"name": "getpid"}),
]


@pytest.mark.parametrize(
    ("line", "expected"), KNOWN, ids=lambda value: value[:40].decode() if isinstance(value, bytes) else ""
)
def test_known_lines(line: bytes, expected: dict[str, object]) -> None:
    value = parse_line(line + b"\n")
    assert isinstance(value, TraceLine)
    assert {key: getattr(value, key) for key in expected} == expected


@pytest.mark.parametrize("line", [b"", b"hello", b"7", b"7     ", b"+++ odd +++", b"--- ---", b"a b(c) = 1", b"\0\xff"])
def test_foreign_lines_are_none(line: bytes) -> None:
    assert parse_line(line) is None


def test_name_is_plain() -> None:
    value = parse_line(b"7 read(0) = 0")
    assert value is not None
    assert re.fullmatch(r"\w+", value.name)


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    for line in data.split(b"\n"):
        parse_line(line)
