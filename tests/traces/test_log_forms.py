"""What logs hold beside calls, the forms of newer straces, and what is not known of a log.

Of `traces/parsing/argument_names.py`, `traces/parsing/cleaning.py`, `traces/parsing/foreign_prefix.py`,
`traces/parsing/other_tracers.py`, `traces/parsing/strings.py`, `traces/parsing/time_limits.py`,
`traces/analysis/clocks.py`, `traces/analysis/clone_flags.py`, `traces/analysis/log_abi.py` and
`traces/analysis/population.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from straced.errors import InvalidArgument, StracedError
from straced.traces.parsing.line_format import NotATrace
from straced.traces.parsing.selection import TraceSelection
from straced.traces.report.request import ReportRequest
from straced.workflows.report import Outputs, make
from tests.traces.recorded import calls_of, report
from tests.traces.written import lines, processes_of, report_of

TWO = "50    1790000000.000000 getpid() = 50 <0.000010>\n{}50    1790000009.500000 getppid() = 1 <0.000010>\n{}"
STACK = " > /usr/lib/libc.so.6(__read+0x8) [0xd0c89]\n"
TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000012          12         1         1 getpid
 40.00    0.000008           8         1           getppid
------ ----------- ----------- --------- --------- ----------------
100.00    0.000020          10         2         1 total
"""
DUMP = " | 00000  68 65 6c 6c 6f                                    hello            |\n"


@pytest.mark.parametrize("between", [STACK, DUMP, TABLE, "strace: Process 51 attached\n", ""])
def test_the_window_is_that_of_all_lines(tmp_path: Path, between: str) -> None:
    made = report_of(tmp_path, TWO.format(between, between))
    assert (made.summary.window.duration_ns, made.unread) == (9_500_000_000, 0)
    assert made.summary.quality.kind == "exact"


def test_several_midnights(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        '40    23:00:00.0 execve("/bin/a", ["a"], 0x1 /* 1 var */) = 0\n40    08:00:00.0 getppid() = 1\n'
        "40    18:00:00.0 getppid() = 1\n40    04:00:00.0 fork() = 41\n41    04:00:01.0 +++ exited with 0 +++\n",
    )
    assert made.summary.window.duration_ns == (29 * 3600 + 1) * 10**9
    child = processes_of(made)[41]
    assert (child.start_s, child.end_s) == (29 * 3600.0, 29 * 3600.0 + 1)


def test_one_damaged_clock_makes_no_year(tmp_path: Path) -> None:
    made = report_of(tmp_path, lines(*["getppid() = 1 <0.000010>"] * 9).replace("1790000004", "1390000004"))
    assert made.summary.window.duration_ns == 8 * 10**9


def test_clocks_that_are_relative_or_none(tmp_path: Path) -> None:
    relative = (
        "50         0.000000 getpid() = 50\n50         1.250000 getpid() = 50\n50         2.500000 getpid() = 50\n"
    )
    assert report_of(tmp_path, relative).summary.window.duration_ns == 3_750_000_000
    made = report_of(tmp_path, "50    getpid() = 50\n50    getppid() = 1\n")
    assert made.summary.window.duration_ns is None
    assert json.loads(json.dumps(made.to_dict()))["summary"]["window"]["duration_ns"] is None
    with pytest.raises(InvalidArgument, match="times"):
        make(ReportRequest(file=str(tmp_path / "log")), Outputs(perfetto=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("selection", "calls"),
    [
        (TraceSelection(since="23:59:30"), 4), (TraceSelection(since="00:00:30"), 2),
        (TraceSelection(until="00:00:30"), 3), (TraceSelection(since="00:00:00", until="00:00:30"), 1),
        (TraceSelection(since="+100"), 2),
    ],
)  # fmt: skip
def test_a_time_behind_midnight(tmp_path: Path, selection: TraceSelection, calls: int) -> None:
    path = tmp_path / "log"
    clocks = ("23:58:50", "23:59:40", "00:00:05", "00:01:00", "00:01:01")
    path.write_text("".join(f"40    {clock}.000000 getppid() = 1 <0.000010>\n" for clock in clocks))
    expected = calls if selection.since != "23:59:30" else 4
    assert report(path, selection=selection).summary.total.calls == expected
    make(ReportRequest(file=str(path), selection=selection), Outputs(ndjson=tmp_path / "out"))
    assert len((tmp_path / "out").read_text().splitlines()) == expected


def test_tasks_of_unknown_birth_are_no_processes(tmp_path: Path) -> None:
    text = lines("close(9) = 0 <0.000010>", pid=71) + lines("close(9) = 0 <0.000010>", pid=72)
    for counts in (False, True):
        summary = report_of(tmp_path, text, counts=counts).summary
        assert (summary.processes, summary.threads) == (None, 2)
    told = report_of(tmp_path, lines("getpid() = 71 <0.000010>", pid=72) + text).summary
    assert (told.processes, told.threads) == (None, 2), "the process was not met before"
    told = report_of(tmp_path, text + lines("getpid() = 71 <0.000010>", pid=72)).summary
    assert (told.processes, told.threads) == (1, 2)


@pytest.mark.parametrize("flags", ["CLONE_VM|CLONE_THREAD", "0x3d0f00", "0x3d0f00 /* CLONE_VM|CLONE_THREAD */"])
def test_threads_by_their_flags(tmp_path: Path, flags: str) -> None:
    text = lines(f"clone3({{flags={flags}, stack_size=0x1000}} => {{parent_tid=[71]}}, 88) = 71 <0.000010>")
    text += lines("exit(0) = ?", pid=71)
    for counts in (False, True):
        summary = report_of(tmp_path, text, counts=counts).summary
        assert (summary.processes, summary.threads) == (1, 2)


def test_the_end_of_processes(tmp_path: Path) -> None:
    """Without a line of its own (-qq), of one that was attached to, and of a child that was not followed."""
    quiet = report_of(tmp_path, lines('execve("/bin/a", ["a"], 0x1 /* 1 var */) = 0', "exit_group(259) = ?"))
    assert (quiet.summary.end, quiet.summary.exit_status) == ("exited", 3)
    attached = report_of(tmp_path, lines("getppid() = 1 <0.000010>", "+++ killed by SIGTERM +++"))
    assert (attached.summary.end, attached.processes[0].killed) == ("killed by SIGTERM", "SIGTERM")
    alone = report_of(tmp_path, 'execve("/bin/a", ["a"], 0x1 /* 1 var */) = 0\nfork() = 99\nexit_group(0) = ?\n')
    (process,) = alone.processes
    assert (process.children, process.calls, alone.summary.processes) == (1, 3, 1)


@pytest.mark.parametrize("ending", [" <detached ...>\n", ""])
def test_what_a_stuck_process_was_in(tmp_path: Path, ending: str) -> None:
    made = report_of(tmp_path, "12    1790000000.000000 fdatasync(4</srv/data>" + ending)
    (row,) = made.summary.rows
    assert (row.calls, row.in_flight) == (1, 1)


def test_a_second_half_that_is_cut_is_no_call(tmp_path: Path) -> None:
    text = lines("read(3,  <unfinished ...>", '<... read resumed>"abc')[:-1]
    for counts in (False, True):
        assert calls_of(report_of(tmp_path, text, counts=counts)) == {"read": 1}
    assert report_of(tmp_path, text).summary.rows[0].in_flight == 1
    text = lines("getppid() = 1 <0.000010>", "getppid() = 1 <0.00")[:-1]
    assert report_of(tmp_path, text).summary.rows[0].wall_ns == 10_000


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('8 openat(dirfd=AT_FDCWD, pathname="/a, b=c", flags=O_RDONLY|O_CLOEXEC) = 3\n', {"openat": 1}),
        ("8 \x1b[33mgetppid\x1b[0m(\x1b[0m)\x1b[0m \x1b[0m=\x1b[0m \x1b[32m1\x1b[0m\x1b[0m\n", {"getppid": 1}),
        ("Nov 29 10:00:00 web strace[77]: 8 getppid() = 1\n", {"getppid": 1}),
        ("2026-11-29T10:00:00+0100 web app[1]: 8 getppid() = 1\n", {"getppid": 1}),
        ("2026-11-29T10:00:00.123456789Z 8 getppid() = 1\n", {"getppid": 1}),
        ("2026-11-29T10:00:00.123456789Z stderr F 8 getppid() = 1\n", {"getppid": 1}),
        ("web-1  | 8     1790000000.000001 getppid() = 1 <0.000001>\n", {"getppid": 1}),
        ("Nov 29 10:00:00 8     1790000000.000001 getppid() = 1 <0.000001>\n", {"getppid": 1}),
        ("[pod/web-0/app] 8     10:00:00.000001 getppid() = 1 <0.000001>\n", {"getppid": 1}),
    ],
)
def test_forms_and_prefixes(tmp_path: Path, text: str, calls: dict[str, int]) -> None:
    made = report_of(tmp_path, text * 3)
    assert calls_of(made) == {name: 3 * count for name, count in calls.items()}
    assert (made.unread, [process.pid for process in made.processes]) == (0, [8])


def test_names_of_arguments_do_not_hide_descriptors(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
8 openat(dirfd=AT_FDCWD, pathname="/srv/one", flags=O_RDONLY) = 3
8 read(fd=3,  <unfinished ...>
8 <... read resumed>buf="count=9, x", count=64) = 10
8 clone(child_stack=NULL, flags=SIGCHLD) = 9
""",
    )
    rows = {row.path: row.in_bytes for row in made.files}
    assert rows == {"/srv/one": 10}


def test_strings_in_hexadecimal(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        r"""8 execve("\x2f\x62\x69\x6e\x2f\x63\x61\x74", ["\x63\x61\x74"], 0x1) = 0
8 openat(AT_FDCWD, "\x2fsrv\57one", O_RDONLY) = 3
8 openat(AT_FDCWD, "/srv/one", O_RDONLY) = 4
8 stat("/srv/\303\274", {}) = 0
""",
    )
    assert made.processes[0].name == "cat"
    assert {row.path: row.opens for row in made.files} == {"/srv/one": 2, "/bin/cat": 0, "/srv/ü": 0}


def test_one_name_of_different_files(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
8 read(5, "abc", 9) = 3
9 read(5, "abcd", 9) = 4
8 stat("conf", 0x1) = -1 ENOENT (No such file or directory)
8 chdir("/srv") = 0
8 stat("conf", {}) = 0
8 chdir("sub") = 0
8 openat(AT_FDCWD, "conf", O_RDONLY) = 3
8 fork() = 10
10 openat(3, "", O_RDONLY) = 4
10 stat("conf", {}) = 0
""",
    )
    rows = {row.path: (row.calls, row.in_bytes) for row in made.files}
    assert rows["fd 5 (opened before the trace)"] == (1, 3)
    assert rows["fd 5 of 9 (opened before the trace)"] == (1, 4)
    assert (rows["conf"], rows["/srv/conf"], rows["/srv/sub/conf"]) == ((1, 0), (1, 0), (3, 0))


def test_bytes_between_two_descriptors(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
8 open("/srv/in", O_RDONLY) = 3
8 open("/srv/out", O_WRONLY) = 4
8 sendfile(4, 3, [0] => [100], 100) = 100
8 copy_file_range(3, [100], 4, NULL, 50, 0) = 50
8 splice(3, NULL, 4, NULL, 7, 0) = 7
8 tee(3, 4, 1, 0) = 1
8 sendmmsg(4, [{msg_hdr={}, msg_len=30}, {msg_hdr={}, msg_len=12}], 2, 0) = 2
""",
    )
    rows = {row.path: (row.in_bytes, row.out_bytes) for row in made.files}
    assert rows == {"/srv/in": (158, 0), "/srv/out": (0, 200)}


def test_what_is_no_path_is_not_taken_for_one(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
8 <... openat resumed>"not/this", O_RDONLY) = 3
8 <... read resumed>"nor this", 8) = 8
8 mount("/dev/sdx", "/mnt", "ext4", 0, NULL) = 0
8 symlink("text", "/srv/link") = 0
8 stat("", 0x1) = -1 ENOENT (No such file or directory)
""",
    )
    assert {row.path for row in made.files} == {"/mnt", "/srv/link", '""'}


@pytest.mark.parametrize(
    ("names", "abi", "number"),
    [
        (("mmap2", "fstat64", "set_thread_area", "waitpid"), "i386", 192),
        (("read", "openat", "newfstatat"), None, None),
        (("read", "arch_prctl", "open"), "x86_64", 0),
    ],
)
def test_the_machine_is_that_of_the_log(tmp_path: Path, names: tuple[str, ...], abi: str | None, number: int) -> None:
    rows = report_of(tmp_path, lines(*(f"{name}(3) = 0 <0.000010>" for name in names))).summary.syscalls
    assert {row.abi for row in rows.values()} == {abi}
    assert rows[names[0]].nr == number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strace: attach: ptrace(PTRACE_SEIZE, 44): Operation not permitted\n", "attach to process 44: Operation not"),
        ("strace: Can't stat 'nope': No such file or directory\n", "Can't stat 'nope'"),
        ("I1129 10:00:00.0 1 strace.go:564] [   1:   1] app E read(0x3, 0x7f, 0x10)\n", "gVisor"),
        ("[pid 7] E openat(0xffffff9c, 0x7ffe, 0x0)\n[pid 7] X openat(...) = 3\n", "u-root"),
        ("--- Process 1234 created\n   29   29 [main] ls 1234 dll_crt0_0: set\n", "Cygwin"),
        ('open("/etc/nope", O_RDONLY)  Err#2 ENOENT\nread(3, "x", 1)  = 1\n', "truss"),
    ],
)
def test_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises((NotATrace, StracedError), match=words):
        report(tmp_path / "log")


def test_an_attach_without_a_call(tmp_path: Path) -> None:
    made = report_of(tmp_path, "strace: Process 44 attached\nstrace: Process 44 detached\n")
    assert (made.summary.total.calls, made.summary.target.pid, made.missing) == (0, 44, ())
    assert made.summary.quality.kind == "exact"
    assert "no call was made" in made.summary.quality.reasons[0].text
