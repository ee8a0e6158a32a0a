"""What ``straced trace`` writes into a trace for ``straced report``, and every other reader skips.

Of `traces/analysis/introduced.py` and `tracers/strace/trace_header.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from straced.traces.parsing.comments import TracedProcessFacts, TraceHeader, comment
from tests.support import proc
from tests.support.cli import popen_straced
from tests.support.poll import until
from tests.traces.independent_count import count
from tests.traces.recorded import calls_of, report
from tests.traces.written import lines, processes_of

PROGRAM = """
import os, sys, threading
kept = os.open(sys.argv[1], os.O_RDONLY)
go = threading.Event()
threads = [threading.Thread(target=lambda: (go.wait(), os.pread(kept, 3, 0))) for _ in range(2)]
[thread.start() for thread in threads]
print("ready", flush=True)
sys.stdin.readline()
go.set()
[thread.join() for thread in threads]
"""


def test_comments_are_believed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    facts = TracedProcessFacts(
        pid=70, name="web", argv=["web", "-x"], tasks=[70, 71], fds={"4": "/srv/kept"}, folder="/srv"
    )
    header = comment("trace", TraceHeader(machine="aarch64", boot_id="b-1", pid=70)) + comment("process", facts)
    text = lines('read(4, "ab", 9) = 2 <0.000010>', 'stat("x", {}) = 0 <0.000010>', pid=71)
    path.write_bytes(header + b"# straced process {damaged\n" + text.encode() + lines("close(3) = 0").encode())
    made = report(path)
    process = processes_of(made)[70]
    assert (process.name, process.argv, process.threads, process.calls) == ("web", '["web", "-x"]', 2, 3)
    assert (made.summary.processes, made.summary.threads, made.unread) == (1, 2, 0)
    assert (made.summary.target.boot_id, made.summary.rows[0].abi) == ("b-1", "arm64")
    assert {row.path: row.in_bytes for row in made.files} == {
        "/srv/kept": 2,
        "/srv/x": 0,
        "fd 3 of 70 (opened before the trace)": 0,
    }
    lean = report(path, counts=True).summary
    assert (lean.processes, lean.threads) == (1, 2)


def test_it_is_about_the_target_also_where_a_child_came_first(tmp_path: Path) -> None:
    """A shell waits for the child that it had at the attach, whose calls are the first lines."""
    path = tmp_path / "log"
    shell = TracedProcessFacts(pid=70, name="sh", argv=["sh", "-c", "x"], tasks=[70])
    child = TracedProcessFacts(pid=71, parent=70, name="ls", argv=["ls"], tasks=[71])
    begun = [comment("trace", TraceHeader(pid=70)), comment("process", shell), comment("process", child)]
    text = lines("close(3) = 0", "exit_group(0) = ?", "+++ exited with 0 +++", pid=71)
    text += lines("wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 71", pid=70)
    path.write_bytes(b"".join(begun) + text.encode())
    made = report(path).summary
    assert (made.target.pid, made.target.comm, made.end) == (70, "sh", "still running when the trace ends")
    assert made.exit_status is None


def test_who_made_no_call_was_there_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    facts = TracedProcessFacts(pid=70, name="web", argv=["web"], tasks=[70, 71])
    child = TracedProcessFacts(pid=80, parent=70, name="job", tasks=[80])
    path.write_bytes(comment("trace", TraceHeader(pid=70)) + comment("process", facts) + comment("process", child))
    for made in (report(path), report(path, counts=True)):
        assert (made.summary.processes, made.summary.threads, made.summary.total.calls) == (2, 3, 0)
        assert made.summary.target.pid == 70
    silent = report(path)
    assert (silent.summary.target.comm, silent.summary.end) == ("web", "still running when the trace ends")
    assert {pid: (each.name, each.calls) for pid, each in processes_of(silent).items()} == {
        70: ("web", 0),
        80: ("job", 0),
    }
    with path.open("a") as more:
        more.write(lines("close(3) = 0", pid=70))
    assert (report(path).summary.processes, report(path).summary.threads) == (2, 3)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("to_stdout", [False, True])
def test_a_live_process(tmp_path: Path, to_stdout: bool) -> None:
    kept, path = tmp_path / "kept", tmp_path / "trace"
    kept.write_text("abc")
    target = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(kept)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert target.stdin is not None
    assert target.stdout is not None
    with target:
        assert target.stdout.readline() == b"ready\n"
        if to_stdout:
            with path.open("wb") as sink:
                trace = popen_straced("trace", "--tracer", "strace", target.pid, stdout=sink)
        else:
            trace = popen_straced("trace", "--tracer", "strace", target.pid, "-o", str(path))
        until(lambda: path.exists() and proc.held(target.pid), 30, "it attaches")
        target.stdin.write(b"\n")
        target.stdin.close()
        target.wait(30)
        assert trace.wait(30) == 0
        trace.communicate()
    data = path.read_bytes()
    assert data.startswith(b"# straced trace {")
    made = report(path)
    process = processes_of(made)[target.pid]
    assert (made.summary.processes, process.threads, process.exit_status) == (1, 3, 0)
    assert process.name
    assert {row.path: row.in_bytes for row in made.files}[str(kept)] == 6
    assert calls_of(made)["pread64"] == count(path).calls["pread64"] == 2
    assert made.unread == 0
