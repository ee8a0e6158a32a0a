"""The readers of strace's text: hand-made tables of every version's form, and real strace runs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from straced.syscalls import native_abi
from straced.tracers.strace.summary_table import parse_tables
from straced.traces.parsing.line import TraceLine, parse_line

OLD = b"""% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.99   12.345678          12   1000000       112 read
  0.01    0.000002           2         1           restart_syscall
  0.00    0.000000           0         3         1 syscall_0x1ce
------ ----------- ----------- --------- --------- ----------------
100.00   12.345680               1000004       113 total
System call usage summary for 32 bit mode:
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
  0.00    0.000000           0         7           _llseek
------ ----------- ----------- --------- --------- ----------------
100.00    0.000000                     7           total
"""

WALL_COLUMNS = b"""wall-total  wall-avg wall-min wall-max     calls syscall
----------- ----------- -------- -------- --------- ----------------
   1.000005      500002 0.000005 1.000000         2 clock_nanosleep
----------- ----------- -------- -------- --------- ----------------
   1.000005      500002 0.000005 1.000000         2 total
"""


def test_old_table_and_a_second_abi() -> None:
    native, compat = parse_tables(OLD)
    assert (native.abi, compat.abi) == (native_abi(), "i386")
    read, restart, unknown = native.rows
    assert (read.calls, read.errors, read.seconds_ns, read.avg_ns, read.time_pct) == (
        1_000_000,
        112,
        12_345_678_000,
        12_000,
        99.99,
    )
    assert (restart.name, restart.calls, restart.errors) == ("restart_syscall", 1, 0)
    assert (unknown.name, unknown.nr, unknown.errors) == ("syscall_0x1ce", 0x1CE, 1)
    assert native.total is not None
    assert (native.total.calls, native.total.errors, native.total.avg_ns) == (1_000_004, 113, None)
    assert (compat.rows[0].name, compat.rows[0].nr) == ("_llseek", 140)
    assert compat.total is not None
    assert (compat.total.calls, compat.total.errors) == (7, 0)
    assert native.complete
    assert compat.complete


def test_crlf_and_text_around() -> None:
    noisy = b"hello\nstrace: Process 7 attached\n" + OLD.replace(b"\n", b"\r\n") + b"bye\n"
    assert parse_tables(noisy) == parse_tables(OLD)


def test_x32_title() -> None:
    assert parse_tables(OLD.replace(b"32 bit", b"x32"))[1].abi == "x32"


def test_wall_columns_of_strace_7() -> None:
    (table,) = parse_tables(WALL_COLUMNS)
    (row,) = table.rows
    assert (row.wall_ns, row.wall_avg_ns, row.wall_min_ns, row.wall_max_ns, row.calls) == (
        1_000_005_000,
        500_002_000,
        5_000,
        1_000_000_000,
        2,
    )
    assert row.seconds_ns is None
    assert row.errors is None
    assert table.complete


def test_figures_wider_than_their_column() -> None:
    wide = OLD.replace(b"   1000000       112 read", b"   123456789012  12345678901 read")
    row = parse_tables(wide)[0].rows[0]
    assert (row.calls, row.errors) == (123456789012, 12345678901)


def test_no_row_and_no_table() -> None:
    head, dashes = OLD.split(b"\n")[:2]
    empty = b"\n".join([head, dashes, dashes, b"100.00    0.000000                     0           total", b""])
    (table,) = parse_tables(empty)
    assert table.rows == ()
    assert table.complete
    assert parse_tables(b"") == []


def test_foreign_line_is_counted() -> None:
    (table, _) = parse_tables(OLD.replace(b"  0.01 ", b"Segmentation fault, says the target\n  0.01 "))
    assert (len(table.rows), table.unread, table.complete) == (3, 1, False)


def test_every_prefix_of_a_table_reads() -> None:
    whole = [row for table in parse_tables(OLD) for row in table.rows]
    for cut in range(len(OLD)):
        tables = parse_tables(OLD[:cut])
        rows = [row for table in tables for row in table.rows]
        for row, right in zip(rows[:-1], whole, strict=False):
            assert row == right
        assert len(tables) < 2 or tables[0].complete
        assert not (cut < OLD.index(b"total") and any(table.complete for table in tables))


@given(st.binary(max_size=2000))
def test_no_bytes_raise(data: bytes) -> None:
    parse_tables(data)
    for line in data.split(b"\n"):
        parse_line(line)


@settings(max_examples=300)
@given(st.integers(0, len(OLD) - 1), st.binary(max_size=12), st.integers(0, 40))
def test_damaged_tables_do_not_raise(place: int, junk: bytes, gone: int) -> None:
    parse_tables(OLD[:place] + junk + OLD[place + gone :])


def strace(strace_path: str, folder: Path, *arguments: str) -> bytes:
    out = folder / "out"
    subprocess.run([strace_path, "-o", str(out), *arguments], check=False, capture_output=True, timeout=60)
    return out.read_bytes()


PYTHON = (sys.executable, "-I", "-S")
PROGRAM = """
import os, signal, subprocess, sys, threading, time
for _ in range(17):
    try: os.stat("/nope \\x1b[31m) = 5 <0.5>")
    except OSError: pass
open("/dev/null").close()
signal.signal(signal.SIGUSR1, lambda *a: None)
os.kill(os.getpid(), signal.SIGUSR1)
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
subprocess.run(["/bin/sh", "-c", "exit 7"])
if os.fork() == 0: os.kill(os.getpid(), signal.SIGKILL)
os.wait()
sys.exit(3)
"""


@pytest.mark.parametrize("flags", [[], ["-w"], ["-U", "name,max-time,errors,min-time,avg-time,calls,total-time"]])
def test_real_tables(strace_path: str, tmp_path: Path, flags: list[str]) -> None:
    data = strace(strace_path, tmp_path, "-f", "-c", *flags, *PYTHON, "-c", PROGRAM)
    (table,) = parse_tables(data)
    rows = {row.name: row for row in table.rows}
    stat = rows.get("newfstatat") or rows["stat"]
    assert table.complete
    assert table.abi == native_abi()
    assert stat.errors is not None
    assert stat.errors >= 17
    assert rows["execve"].calls is not None
    assert rows["execve"].calls >= 2
    assert table.total is not None
    assert table.total.errors == sum(row.errors or 0 for row in table.rows)
    if "-U" in flags:
        assert stat.min_ns is not None
        assert stat.max_ns is not None
        assert stat.avg_ns is not None
        assert stat.min_ns <= stat.avg_ns + 1000
        assert stat.avg_ns <= stat.max_ns
        assert stat.time_pct is None


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
def test_real_traces(strace_path: str, tmp_path: Path, flags: list[str], clock: str | None, durations: bool) -> None:
    data = strace(strace_path, tmp_path, "-f", *flags, *PYTHON, "-c", PROGRAM)
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


def test_every_prefix_of_a_real_trace(strace_path: str, tmp_path: Path) -> None:
    data = strace(strace_path, tmp_path, "-f", "-ttt", "-T", "-yy", "sh", "-c", "ls /nope; cat /dev/null; exit 7")
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
    ("line", "wanted"), KNOWN, ids=lambda value: value[:40].decode() if isinstance(value, bytes) else ""
)
def test_known_lines(line: bytes, wanted: dict[str, object]) -> None:
    value = parse_line(line + b"\n")
    assert isinstance(value, TraceLine)
    assert {key: getattr(value, key) for key in wanted} == wanted


@pytest.mark.parametrize("line", [b"", b"hello", b"7", b"7     ", b"+++ odd +++", b"--- ---", b"a b(c) = 1", b"\0\xff"])
def test_foreign_lines_are_none(line: bytes) -> None:
    assert parse_line(line) is None


def test_name_is_plain() -> None:
    value = parse_line(b"7 read(0) = 0")
    assert value is not None
    assert re.fullmatch(r"\w+", value.name)
