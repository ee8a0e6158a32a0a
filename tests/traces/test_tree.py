"""The process tree when a child is faster than its parent's clone: its lines, even its end, come first.

Of `traces/analysis/process_tree.py`, `traces/analysis/clone_flags.py`, `traces/analysis/introduced.py` and
`traces/analysis/population.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.traces.recorded import report

EARLY = """\
100   1790000010.000000 execve("/bin/sh", ["sh"], 0x1 /* 1 var */) = 0 <0.000100>
100   1790000010.000100 open("/etc/kept", O_RDONLY) = 3 <0.000100>
100   1790000010.000200 vfork( <unfinished ...>
101   1790000010.000300 execve("/bin/ls", ["ls"], 0x1 /* 1 var */) = 0 <0.000100>
101   1790000010.000400 read(3, "", 10) = 0 <0.000100>
101   1790000010.000500 exit_group(7) = ?
101   1790000010.000600 +++ exited with 7 +++
100   1790000010.000700 <... vfork resumed>) = 101 <0.000500>
"""
SILENT = """\
100   1790000010.000000 execve("/bin/sh", ["sh"], 0x1 /* 1 var */) = 0 <0.000100>
100   1790000010.000200 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
101   1790000010.000600 +++ killed by SIGKILL +++
100   1790000010.000700 <... clone resumed>) = 101 <0.000500>
"""
USED_AGAIN = """\
100   1790000010.001000 clone(child_stack=NULL, flags=SIGCHLD) = 101 <0.000100>
101   1790000010.001100 execve("/bin/cat", ["cat"], 0x1 /* 1 var */) = 0 <0.000100>
101   1790000010.001200 close(0) = 0 <0.000100>
101   1790000010.001300 +++ exited with 0 +++
100   1790000010.001400 +++ exited with 0 +++
"""


@pytest.mark.parametrize("bracket", [False, True])
def test_a_child_that_ended_before_its_clone_returned(tmp_path: Path, bracket: bool) -> None:
    path = tmp_path / "trace"
    path.write_text(re.sub(r"(?m)^(\d+) +", r"[pid   \1] ", EARLY) if bracket else EARLY)
    made = report(path)
    shell, child = made.processes
    assert (shell.name, shell.children, child.name, child.parent) == ("sh", 1, "ls", 100)
    assert (child.exit_status, child.calls, child.end_s) == (7, 3, 0.0006)
    assert {row.path: row.syscalls for row in made.files}["/etc/kept"] == {"open": 1, "read": 1}


def test_a_child_that_only_ended(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(SILENT)
    child = report(path).processes[1]
    assert (child.name, child.killed, child.parent, child.calls) == ("sh", "SIGKILL", 100, 0)


@pytest.mark.parametrize("strace", ["strace", "/usr/bin/strace", "./strace", "../bin/strace-6.9"])
def test_words_of_a_strace_that_was_called_by_its_path(tmp_path: Path, strace: str) -> None:
    path = tmp_path / "trace"
    path.write_text(f"""\
12:00:00.000000 execve("/bin/sh", ["sh"], 0x1 /* 1 var */) = 0 <0.000100>
12:00:00.000200 vfork({strace}: Process 101 attached
 <unfinished ...>
[pid   101] 12:00:00.000300 execve("/bin/ls", ["ls"], 0x1 /* 1 var */) = 0 <0.000100>
[pid   100] 12:00:00.000400 <... vfork resumed>) = 101 <0.000200>
[pid   100] 12:00:00.000500 clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD{strace}: Process 102 attached
) = 102 <0.000200>
{strace}: Process 103 attached
[pid   102] 12:00:00.000600 close(3) = 0 <0.000100>
""")
    made = report(path)
    assert (made.unread, made.unread_lines, made.lines) == (0, (), 9)
    assert {row.name: row.calls for row in made.summary.rows} == {"execve": 2, "vfork": 1, "clone": 1, "close": 1}
    assert [process.name for process in made.processes] == ["sh", "ls", "sh"]


@pytest.mark.parametrize("first", [EARLY, SILENT])
def test_a_pid_that_is_used_again(tmp_path: Path, first: str) -> None:
    path = tmp_path / "trace"
    path.write_text(first + USED_AGAIN)
    made = report(path)
    shell, child = made.processes
    assert (shell.children, child.name, child.killed, child.exit_status) == (2, "cat", None, 0)
    assert not any("/etc/kept" in row.path and "close" in row.syscalls for row in made.files)
