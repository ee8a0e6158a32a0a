"""All forms and containers of a trace give the same figures, as far as they hold them.

Of `traces/analysis/selected_pass.py`, `traces/analysis/state.py` and `traces/parsing/time_limits.py`.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from straced.errors import InvalidArgument
from straced.traces.analysis.reader import SMALL_BYTES, read
from straced.traces.parsing.selection import TraceSelection
from straced.traces.parsing.source import LONGEST_LINE_BYTES, InputError, open_source
from straced.traces.report.build import build
from straced.traces.values import TraceReport
from tests.support.pace import PACE
from tests.traces.recorded import calls_of, need, record, report


def figures(made: TraceReport) -> list[tuple[object, ...]]:
    return sorted((row.name, row.calls, row.errors, row.wall_ns, row.max_ns, row.p99_ns) for row in made.summary.rows)


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        (("-f",), {"times of day", "durations"}),
        (("-f", "-t"), {"to the second", "durations"}),
        (("-f", "-r"), {"durations"}),
        (("-f", "-r", "-t", "-T"), {"to the second"}),
        (("-f", "-ttt", "-T", "-i", "-n"), set()),
        (("-f", "-tt", "-T", "-Y"), set()),
        (("-f", "-tt", "-T", "-X", "raw"), set()),
        (("-f", "-tt", "-T", "-X", "verbose", "-yy"), set()),
        (("-tt", "-T"), {"pids"}),
        (("-f", "-tt", "-T", "-C"), set()),
    ],
    ids=lambda value: "".join(value) if isinstance(value, tuple) else "",
)
def test_forms(tmp_path: Path, flags: tuple[str, ...], missing: set[str]) -> None:
    path = record(tmp_path, ["ls", "/nope", "/etc"], flags)
    made = report(path)
    assert len(made.missing) == len(missing)
    assert all(any(word in gap for gap in made.missing) for word in missing), made.missing
    timed = "durations" not in missing
    assert all((row.wall_ns is not None) == (timed and row.name != "exit_group") for row in made.summary.rows)
    calls = calls_of(made)
    assert calls["execve"] == 1
    assert calls["exit_group"] == 1
    assert sum(calls.values()) == sum(  # type: ignore[arg-type]
        1 for line in path.read_bytes().split(b"\n") if b"(" in line and b"+++" not in line and b"---" not in line
    )
    assert any(row.path == "/nope" and row.errno == {"ENOENT": row.errors} and row.errors for row in made.files)


def test_a_terminal_log_with_brackets(tmp_path: Path) -> None:
    script = "exec 2>/dev/null; ls /nope; true | cat; exit 2"
    run = subprocess.run(
        [need("strace"), "-f", "-tt", "-T", "sh", "-c", script],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=60 * PACE,
    )
    path = tmp_path / "log"
    path.write_bytes(run.stderr)
    made = report(path)
    assert b"[pid " in run.stderr
    assert made.unread == 0, made.unread_lines
    assert made.lines == run.stderr.count(b"\n")
    assert [process.name for process in made.processes] == ["sh", "ls", "sh", "cat"]
    root = made.processes[0]
    assert (root.parent, root.exit_status) == (None, 2)
    assert all(process.parent == root.pid for process in made.processes[1:])


def test_one_file_a_task(tmp_path: Path) -> None:
    script = "for i in 1 2 3; do ls /nope | cat; done"
    record(tmp_path, ["sh", "-c", script], ("-ff", "-ttt", "-T"))
    members = list(tmp_path.glob("trace.*"))
    assert len(members) == 7
    made = report(tmp_path / "trace")
    assert made.summary.processes == 7
    lines = sum(path.read_bytes().count(b"\n") for path in members)
    assert made.lines == lines
    assert {process.name for process in made.processes} == {"sh", "ls", "cat"}
    root = made.processes[0]
    assert all(process.parent == root.pid for process in made.processes[1:])


def test_compressed_and_piped(tmp_path: Path, shell_trace: Path) -> None:
    data = shell_trace.read_bytes()
    plain = figures(report(shell_trace))
    (tmp_path / "t.gz").write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:]))
    assert figures(report(tmp_path / "t.gz")) == plain
    zstandard = pytest.importorskip("zstandard", reason="the extra analytics is not installed")
    (tmp_path / "t.zst").write_bytes(zstandard.compress(data))
    assert figures(report(tmp_path / "t.zst")) == plain
    (tmp_path / "crlf").write_bytes(data.replace(b"\n", b"\r\n"))
    assert figures(report(tmp_path / "crlf")) == plain
    command = [sys.executable, "-m", "straced", "report", "-", "--json"]
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=60 * PACE)
    rows = msgspec.json.decode(done.stdout)["summary"]["syscalls"]
    found = [tuple(row[key] for key in ("name", "calls", "errors", "wall_ns", "max_ns", "p99_ns")) for row in rows]
    assert sorted(found) == plain


def test_truncated_containers_give_what_they_hold(tmp_path: Path, shell_trace: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="the extra analytics is not installed")
    data = shell_trace.read_bytes()
    packed = gzip.compress(data)
    frames = [zstandard.compress(line) for line in data.splitlines(True)]
    half = len(frames) // 2
    for name, cut in (
        ("t.gz", packed[: len(packed) // 2]),
        ("t.zst", b"".join(frames[:half]) + frames[half][:-3]),  # between two frames it would be whole
    ):
        path = tmp_path / name
        path.write_bytes(cut)
        made = report(path)
        assert made.lines > 100
        assert any("ends early" in note for note in made.notes)
        assert made.summary.quality.kind == "partial"
    damaged = bytearray(gzip.compress(data))
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "bad.gz").write_bytes(damaged)
    assert any("damaged" in note for note in report(tmp_path / "bad.gz").notes)


def test_workers_change_nothing(tmp_path: Path, shell_trace: Path) -> None:
    path = tmp_path / "large"
    data = shell_trace.read_bytes()
    path.write_bytes(data * (1 + 2 * SMALL_BYTES // len(data)))
    one = report(path, jobs=1)
    for jobs, counts in ((2, False), (3, False), (3, True)):
        many = report(path, jobs=jobs, counts=counts)
        assert figures(many) == figures(one)
        assert many.lines == one.lines
        if not counts:
            assert many.files == one.files
            assert many.slowest == one.slowest
            assert many.findings == one.findings
            assert many.processes == one.processes
            assert many.flame == one.flame
    assert len(one.files) > 10


def test_every_prefix_reads(tmp_path: Path, shell_trace: Path) -> None:
    data = shell_trace.read_bytes()[:12_000]
    whole = data.count(b"\n")
    path = tmp_path / "cut"
    for cut in range(400, len(data), 31):
        path.write_bytes(data[:cut])
        made = report(path)
        assert made.unread == 0, (cut, made.unread_lines)
        assert made.lines <= whole + 1
        assert made.cut <= 1


def test_a_cut_call_is_in_flight(tmp_path: Path, shell_trace: Path) -> None:
    data = shell_trace.read_bytes()
    start = data.index(b" openat(")
    (tmp_path / "cut").write_bytes(data[: start + 20])
    made = report(tmp_path / "cut")
    row = made.summary.syscalls["openat"]
    assert (row.calls, row.in_flight, row.errors, made.cut) == (1, 1, 0, 1)


def test_a_file_that_grows_is_read_as_it_was(tmp_path: Path, shell_trace: Path) -> None:
    path = tmp_path / "grows"
    path.write_bytes(shell_trace.read_bytes())
    source = open_source(str(path))
    with path.open("ab") as more:
        more.write(b"not a line of strace\n" * 10)
    made = build(read(source))
    assert made.unread == 0
    assert made.size_bytes == shell_trace.stat().st_size


def test_long_lines(tmp_path: Path, shell_trace: Path) -> None:
    data = shell_trace.read_bytes()
    first, rest = data.split(b"\n", 1)
    long = b'1     write(1, "' + b"x" * (1 << 20) + b'", 1048576) = 1048576 <0.000100>\n'
    endless = b"y" * (LONGEST_LINE_BYTES + (2 << 20)) + b"\n"
    (tmp_path / "long").write_bytes(first + b"\n" + long + rest + endless + first + b"\n")
    made = report(tmp_path / "long")
    assert (made.summary.syscalls["write"].max_ns or 0) >= 100_000
    assert 1 <= made.unread <= 3
    assert any("taken apart" in note for note in made.notes)


def test_mixed_forms(tmp_path: Path, shell_trace: Path) -> None:
    other = record(tmp_path, ["ls", "/nope"], ("-f", "-t"), "other")
    both = tmp_path / "both"
    both.write_bytes(shell_trace.read_bytes() + other.read_bytes())
    made = report(both)
    expected = calls_of(report(shell_trace))
    for name, count in calls_of(report(other)).items():
        expected[name] = (expected.get(name) or 0) + (count or 0)
    assert calls_of(made) == expected
    assert made.unread == 0


def test_selections(shell_trace: Path) -> None:
    whole = report(shell_trace)
    ls = next(process for process in whole.processes if process.name == "ls")
    one = report(shell_trace, selection=TraceSelection(pids=frozenset({ls.pid})))
    assert one.summary.total.calls == ls.calls
    assert [process.pid for process in one.processes if process.calls] == [ls.pid]
    opens = report(shell_trace, selection=TraceSelection(syscalls=frozenset({"openat"})))
    assert calls_of(opens) == {"openat": calls_of(whole)["openat"]}
    libc = report(shell_trace, selection=TraceSelection(path="*/libc.so*"))
    rows = {row.path: row.calls for row in whole.files if "/libc.so" in row.path}
    assert {row.path: row.calls for row in libc.files} == rows
    assert libc.summary.total.calls == sum(rows.values())
    assert libc.summary.total.calls
    half = whole.summary.window.duration_ns / 2e9
    early = report(shell_trace, selection=TraceSelection(until=f"+{half}"))
    late = report(shell_trace, selection=TraceSelection(since=f"+{half + 1e-7}"))
    total = whole.summary.total.calls or 0
    assert 0 < (early.summary.total.calls or 0) < total
    assert abs((early.summary.total.calls or 0) + (late.summary.total.calls or 0) - total) <= 2
    with pytest.raises(InvalidArgument):
        report(shell_trace, selection=TraceSelection(since="yesterday"))


def test_descriptors_are_followed_through_fork_exec_and_dup(tmp_path: Path) -> None:
    program = """
import os, subprocess
a = os.open("kept", os.O_CREAT | os.O_WRONLY)
os.set_inheritable(a, True)
b = os.open("closed", os.O_CREAT | os.O_WRONLY)
c = os.dup2(a, 7); os.write(7, b"12345"); os.close(a)
subprocess.run(["sh", "-c", "echo in-child >&7; echo x 2>/dev/null >&%d" % b], close_fds=False)
"""
    path = record(tmp_path, [sys.executable, "-I", "-S", "-c", program], ("-f", "-tt", "-T"))
    rows = {row.path: row for row in report(path).files}
    assert (tmp_path / "kept").read_bytes() == b"12345in-child\n"
    assert rows["kept"].out_bytes == 5 + len("in-child\n")
    assert rows["closed"].out_bytes == 0
    with_paths = record(tmp_path, [sys.executable, "-I", "-S", "-c", program], ("-f", "-tt", "-T", "-y"), "y")
    named = {os.path.basename(row.path): row for row in report(with_paths).files}
    assert named["kept"].out_bytes == rows["kept"].out_bytes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n \n", "empty"),
        (b"hello\nworld\n", "line 1 is not strace text"),
        (b"\n\nhello\n", "line 3 is not strace text"),
        (b"\x7fELF\0\0\0" * 100, "binary"),
        (b"% time     seconds  usecs/call     calls    errors syscall\n", "table of strace -c"),
        (b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_no_trace(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "straced", "report", str(path)],
        capture_output=True,
        text=True,
        timeout=60 * PACE,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError):
            open_source(str(name))


def test_options_that_match_nothing(shell_trace: Path) -> None:
    with pytest.raises(InvalidArgument, match="opena") as caught:
        report(shell_trace, selection=TraceSelection(syscalls=frozenset({"opena"})))
    assert "openat" in caught.value.hint
    made = report(shell_trace, selection=TraceSelection(pids=frozenset({1})))
    assert made.summary.total.calls == 0
    assert "no line of the trace is selected" in made.summary.quality.reasons[-1].text


def test_a_process_that_slept_all_the_time(tmp_path: Path) -> None:
    """One call in flight from the attach to the detach is a trace too: no call was made."""
    path = tmp_path / "log"
    path.write_bytes(b"4242 1795436984.891108 restart_syscall(<... resuming interrupted read ...> <detached ...>\n")
    made = report(path)
    assert made.unread == 0
    assert made.summary.total.errors == 0


def test_colours(tmp_path: Path) -> None:
    """As strace 7.2 writes them with ``--color=always``; an escape within a string is ``\\33`` there."""
    coloured = (
        rb"77 14:42:04.563728 E[33mexecveE[0m(E[35m"
        rb'"/usr/bin/sh"E[0m, E[35mE[0m[E[35m"sh"E[0m, E[35m"\33[0m"E[0m]E[35mE[0m, E[35m0x7ffcE[36m /* 35 varsE[36m */'
        rb"E[35mE[0mE[0m)E[0m E[0m=E[0mE[0m E[32m0E[0m E[32mE[0m<E[35m0.000111E[0m>E[35mE[0mE[0m"
        b"\n"
        rb'77 14:42:04.564325 E[33maccessE[0m(E[35m"/etc/ld.so.preload"E[0m, '
        rb"E[35mE[34mR_OKE[35mE[0mE[0m)E[0m E[0m=E[0mE[0m "
        rb"E[32m-1E[0m E[31mENOENTE[0m E[31m(No such file or directory)E[0m E[32mE[0m<E[35m0.000005E[0m>E[35mE[0mE[0m"
        b"\n77 14:42:04.600000 +++ exited with 3 +++\n"
    ).replace(b"E[", b"\x1b[")
    path = tmp_path / "coloured"
    path.write_bytes(coloured)
    made = report(path)
    assert calls_of(made) == {"execve": 1, "access": 1}
    assert [(row.path, row.errno) for row in made.files if row.path == "/etc/ld.so.preload"] == [
        ("/etc/ld.so.preload", {"ENOENT": 1})
    ]
    assert sum(row.wall_ns or 0 for row in made.summary.rows) == 116_000
    assert made.summary.exit_status == 3
    text = b"".join(open_source(str(path)).blocks())
    assert rb'execve("/usr/bin/sh", ["sh", "\33[0m"], 0x7ffc /* 35 vars */) = 0 <0.000111>' in text
