"""Logs as they stand on a terminal: lines without a pid are of the only task left, and torn lines are made whole.

Of `traces/parsing/terminal_pids.py` and `traces/parsing/torn_lines.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from straced.traces.report.request import ReportRequest
from straced.views.text.summary import fate
from straced.workflows.report import Outputs, make
from tests.support.pace import PACE
from tests.traces.recorded import calls_of, need, report
from tests.traces.written import processes_of, report_of


def test_the_child_that_outlives_the_first_process(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
execve("/bin/dash", ["dash"], 0x7ffe /* 9 vars */) = 0
fork(strace: Process 81 attached
)                                  = 81
[pid    80] exit_group(2)               = ?
[pid    81] read(0,  <unfinished ...>
[pid    80] +++ exited with 2 +++
<... read resumed>"", 10)               = 0
getppid()                               = 1
exit_group(6)                           = ?
+++ exited with 6 +++
""",
    )
    first, child = made.processes
    assert (first.pid, first.calls, first.exit_status) == (80, 3, 2)
    assert (child.pid, child.parent, child.calls, child.exit_status) == (81, 80, 3, 6)
    assert (made.summary.exit_status, made.unread) == (2, 0)
    assert not any(row.in_flight for row in made.summary.rows)


@pytest.mark.parametrize("first_of_child", ["[pid    91] brk(NULL) = 0x1\n", ""])
def test_quiet_strace(tmp_path: Path, first_of_child: str) -> None:
    """With -qq nothing is said of attaching and ending: fork and exit_group tell."""
    made = report_of(
        tmp_path,
        f"""\
execve("/bin/dash", ["dash"], 0x7ffe /* 9 vars */) = 0
vfork( <unfinished ...>
{first_of_child}[pid    91] execve("/bin/ls", ["ls"], 0x7ffe /* 9 vars */ <unfinished ...>
[pid    90] <... vfork resumed>)        = 91
[pid    90] wait4(91,  <unfinished ...>
[pid    91] <... execve resumed>)       = 0
[pid    91] exit_group(4)               = ?
[pid    90] <... wait4 resumed>[{{WIFEXITED(s) && WEXITSTATUS(s) == 4}}], 0, NULL) = 91
getpid()                                = 90
exit_group(1)                           = ?
""",
    )
    first, child = made.processes
    assert (first.pid, first.calls, first.exit_status, first.name) == (90, 5, 1, "dash")
    assert (child.pid, child.parent, child.exit_status, child.name) == (91, 90, 4, "ls")


@pytest.mark.parametrize("counts", [False, True])
def test_a_pid_that_shows_late(tmp_path: Path, counts: bool) -> None:
    body = "getppid()                               = 1\n" * 3000
    made = report_of(
        tmp_path,
        f"""\
execve("/bin/app", ["app"], 0x7ffe /* 9 vars */) = 0
{body}clone3({{flags=CLONE_VM|CLONE_THREAD, stack_size=0x7fff80}}strace: Process 61 attached
 => {{parent_tid=[61]}}, 88) = 61
[pid    61] exit(0)                     = ?
[pid    60] getppid()                   = 1
[pid    61] +++ exited with 0 +++
getppid()                               = 1
""",
        counts=counts,
    )
    assert (made.unread, made.summary.processes, made.summary.threads, made.summary.target.pid) == (0, 1, 2, 60)
    assert calls_of(made) == {"execve": 1, "getppid": 3002, "clone3": 1, "exit": 1}
    assert not any("pids" in gap for gap in made.missing)


def test_a_thread_that_is_born_without_pids(tmp_path: Path) -> None:
    """Counting a clone that does not return, in a log without pids, came to no end."""
    text = 'execve("./a", ["a"], 0x1 /* 1 var */) = 0\nclone(child_stack=0x1, flags=CLONE_THREAD <unfinished ...>\n'
    assert calls_of(report_of(tmp_path, text, counts=True)) == {"execve": 1, "clone": 1}


def test_a_log_of_an_attach_that_ctrl_c_ended(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
/usr/bin/strace: Process 512 attached
10:00:00.000000 read(3, "q", 1)         = 1 <0.000010>
10:00:02.000000 fsync(3)                = 0 <0.000010>
10:00:07.250000 flock(4, LOCK_EX/usr/bin/strace: Process 512 detached
 <detached ...>
""",
    )
    summary = made.summary
    assert (summary.quality.kind, summary.target.pid, summary.window.duration_ns) == ("exact", 512, 7_250_000_000)
    assert {row.name: (row.calls, row.in_flight) for row in summary.rows} == {
        "read": (1, 0), "fsync": (1, 0), "flock": (1, 1),
    }  # fmt: skip


def test_restarts_are_followed_without_pids(tmp_path: Path) -> None:
    made = report_of(
        tmp_path,
        """\
execve("/bin/dash", ["dash"], 0x7ffe /* 9 vars */) = 0
fork()                                  = 31
[pid    30] wait4(-1,  <unfinished ...>
[pid    31] exit_group(0)               = ?
[pid    30] <... wait4 resumed>0x1, 0, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
[pid    31] +++ exited with 0 +++
--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---
rt_sigreturn({mask=[]})                 = -1 EINTR (Interrupted system call)
wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 31
""",
    )
    row = made.summary.syscalls["wait4"]
    assert (row.calls, row.errno, row.restarts) == (2, {"EINTR": 1}, 0)


TORN = """\
[pid    21] getppid()                   = 1
[pid    20] prctl(PR_GET_NAME, strace: Process 22 attached
"x")        = 0
[pid    20] write(2, "one\\ntwo\\n", 8one
two
)        = 8
[pid    21] nanosleep({tv_sec=0, tv_nsec=1}, oh
NULL) = 0
[pid    22] read(5,  <unfinished ...>
[pid    20] getppid()                   = 1
[pid    22] <... read resumed>"a", 1)    = 1
"""


def test_torn_lines_are_whole_in_report_and_exports(tmp_path: Path) -> None:
    made = report_of(tmp_path, TORN)
    assert (made.unread, made.lines, made.summary.quality.kind) == (0, TORN.count("\n"), "exact")
    expected = {"getppid": 2, "prctl": 1, "write": 1, "nanosleep": 1, "read": 1}
    assert calls_of(made) == expected
    make(ReportRequest(file=str(tmp_path / "log")), Outputs(ndjson=tmp_path / "out"))
    calls = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert {name: sum(call["name"] == name for call in calls) for name in expected} == expected
    assert {call["tid"] for call in calls} == {20, 21, 22}
    assert next(call for call in calls if call["name"] == "write")["value"] == 8


def test_a_program_that_writes_into_its_own_log(tmp_path: Path) -> None:
    """Recorded: the program and strace share stderr."""
    program = "import os\nfor i in range(30): os.write(2, b'line %d\\n' % i)"
    run = subprocess.run(
        [need("strace"), "-f", "-tt", "-T", sys.executable, "-I", "-S", "-c", program],
        stderr=subprocess.PIPE, check=True, timeout=60 * PACE,
    )  # fmt: skip
    path = tmp_path / "log"
    path.write_bytes(run.stderr)
    made = report(path)
    assert b'write(2, "line 7\\n", 7line 7\n' in run.stderr
    assert (made.unread, made.summary.syscalls["write"].calls) == (0, 30)
    assert made.summary.quality.kind == "exact"


def test_tasks_that_were_there_are_threads_of_their_process(tmp_path: Path) -> None:
    text = """\
strace: Process 300 attached with 3 threads
[pid   302] 10:00:00.000000 close(9)    = 0 <0.000010>
[pid   301] 10:00:01.000000 openat(AT_FDCWD, "/srv/x", O_RDONLY) = 4 <0.000010>
[pid   300] 10:00:02.000000 read(4, "x", 9) = 1 <0.000010>
[pid   302] 10:00:03.000000 exit_group(7) = ?
[pid   302] 10:00:03.100000 +++ exited with 7 +++
[pid   301] 10:00:03.200000 +++ exited with 7 +++
10:00:03.300000 +++ exited with 7 +++
"""
    made = report_of(tmp_path, text)
    assert (made.summary.processes, made.summary.threads, made.summary.exit_status) == (1, 3, 7)
    assert {row.path: row.in_bytes for row in made.files}["/srv/x"] == 1
    assert processes_of(made)[300].threads == 3
    lean = report(tmp_path / "log", counts=True).summary
    assert (lean.processes, lean.threads) == (1, 3)
    assert (fate(made.summary), fate(lean)) == ("exit 7", "end not seen")
