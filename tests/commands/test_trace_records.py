"""``straced trace`` by eBPF: records in a file, or lines in strace's format; a command from its first instruction.

Of `commands/trace_choice.py`, `workflows/record.py`, `profiling/record_text.py`, `linux/scratch_file.py` and
`traces/parsing/trace_filters.py`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from straced.records.reader import RecordFile
from straced.records.values import CALLS, RecordKind
from straced.syscalls import native_abi, number_of
from tests.support import proc
from tests.support.cli import Result, popen_straced, straced
from tests.support.needs import freezer_root
from tests.support.owner import NOBODY
from tests.support.poll import until
from tests.support.records import check_flips, check_sums
from tests.support.workload import Starter, Workload
from tests.tracers.ebpf.test_lifecycle import programs_of

LOOP = "import os\nwhile True: os.getppid()"


@pytest.mark.needs("ebpf")
def test_a_command_is_recorded_from_its_first_instruction(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    done = straced("trace", "-o", path, "--", "sh", "-c", "cat /etc/hostname /there/is/none; exit 3")
    assert done.status == 3, done.err
    assert path.stat().st_mode & 0o777 == 0o600
    file = RecordFile(path)
    counted = check_sums(file)
    first = next(each for each in file if each.kind is RecordKind.CALL)
    assert (first.label, first.blobs[1].data) == ("execve", b"sh\0-c\0cat /etc/hostname /there/is/none; exit 3\0")
    assert file.facts.processes[0].comm == b"sh"
    report = json.loads(straced("report", path, "--json").out)
    assert (report["summary"]["tracer"], report["notes"]) == ("ebpf", [])
    rows = {row["name"]: row["calls"] for row in report["summary"]["syscalls"]}
    assert rows == counted
    assert "/there/is/none" in json.dumps(report["files"])
    assert "calls, errnos and paths are the same" in straced("diff", path, path).out
    check_flips(path, range(5, path.stat().st_size, path.stat().st_size // 50))


IN_CALLS = """
import os, sys, threading, time
left, stays = os.pipe(), os.pipe()
threading.Thread(target=os.read, args=(stays[0], 7), daemon=True).start()
print(left[1], flush=True)
os.read(left[0], 11)
os.getppid()
sys.stdin.read()
"""


@pytest.mark.needs("ebpf")
def test_calls_from_before_the_attach_are_there_and_not_among_the_counted(tmp_path: Path) -> None:
    path, trace = tmp_path / "t.strc", None
    with subprocess.Popen([sys.executable, "-c", IN_CALLS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout is not None
            end = int(target.stdout.readline())
            until(lambda: _waiting(target.pid) == 2, 30, "both threads wait")
            trace = popen_straced("trace", target.pid, "-o", path)
            until(path.exists, 60, "it records")
            with open(f"/proc/{target.pid}/fd/{end}", "wb", buffering=0) as pipe:
                pipe.write(b"x")
            until(lambda: b"\x6e\0\0\x10" in path.read_bytes(), 60, "getppid is in the file")
            trace.send_signal(signal.SIGINT)
            _out, err = trace.communicate(timeout=60)
            assert trace.returncode == 0, err
        finally:
            target.kill()
            if trace is not None:
                trace.kill()
    file = RecordFile(path)
    check_sums(file)
    before = [each for each in file if each.kind is RecordKind.BEFORE and each.label == "read"]
    assert sorted((each.args[2], each.result, each.duration_ns) for each in before if each.args[2] < 20) == [
        (7, None, None),
        (11, 1, None),
    ]
    said = straced("report", path, "--json").json()
    assert "read" in [task["call"] for task in said["at_end"]]


def _waiting(pid: int) -> int:
    """How many threads are in a read."""
    calls = [Path(f"/proc/{pid}/task/{tid}/syscall").read_text() for tid in proc.tasks(pid)]
    return sum(call.startswith(f"{number_of('read', native_abi())} ") for call in calls)


@pytest.mark.needs("ebpf")
def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    done = straced("trace", "-Z", "-e", "openat,read", "--slower", "1ms", "-d", "20m", "-o", path, "--", "cat", "/no")
    assert done.status == 1, done.err
    file = RecordFile(path)
    assert (file.facts.failed_only, file.facts.slower_ns, file.facts.max_seconds) == (True, 1_000_000, 1200)
    assert file.end is not None
    filtered = sum(each.filtered for each in file.end.calls.values())
    reasons = [each["text"] for each in straced("report", path, "--json").json()["summary"]["quality"]["reasons"]]
    said = f"only failing calls of 1.0 ms or more in openat, read were recorded; {filtered:,} others were counted"
    assert said in reasons


@pytest.mark.needs("ebpf")
def test_records_that_are_packed_or_come_from_a_pipe_are_read(tmp_path: Path) -> None:
    path, packed = tmp_path / "t.strc", tmp_path / "t.strc.gz"
    assert straced("trace", "-o", path, "--", "cat", "/dev/null").status == 0
    packed.write_bytes(gzip.compress(path.read_bytes()))
    wanted = _rows(straced("report", path, "--json"))
    assert wanted["openat"]
    assert _rows(straced("report", packed, "--json")) == wanted
    assert "calls, errnos and paths are the same" in straced("diff", path, packed).out
    assert straced("report", packed, "--ndjson", tmp_path / "calls").status == 0
    assert (tmp_path / "calls").read_text().count('"openat"') == wanted["openat"]
    for name in (path, packed):
        with open(name, "rb") as file:
            assert _rows(straced("report", "-", "--json", stdin=file.fileno())) == wanted
        with subprocess.Popen(["cat", name], stdout=subprocess.PIPE) as cat:
            assert cat.stdout is not None
            assert _rows(straced("report", "-", "--json", stdin=cat.stdout.fileno())) == wanted


def _rows(done: Result) -> dict[str, int]:
    assert done.status == 0, done.err
    return {row["name"]: row["calls"] for row in done.json()["summary"]["syscalls"]}


@pytest.mark.needs("ebpf", "cc")
def test_lines_of_a_running_process(start: Starter, tmp_path: Path) -> None:
    target = start("n", 250)
    process = popen_straced("trace", target.pid, "--tracer", "ebpf", "-e", "getppid,exit_group", "-o", tmp_path / "t")
    until((tmp_path / "t").exists, 30, "it records")
    target.finish()
    target.let_end()
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    calls = re.findall(r"(?m)^\d+ +\d{10}\.\d{9} (\w+)\(", (tmp_path / "t").read_text())
    assert Counter(calls) == {"getppid": 250, "exit_group": 1}


@pytest.mark.needs("ebpf", "cc")
def test_a_second_ctrl_c_leaves_lines_out_and_counts_them(start: Starter, tmp_path: Path) -> None:
    """A target may be faster than lines can be written: what was recorded of it is written after the first."""
    target = start("spin")
    path = tmp_path / "t"
    process = popen_straced("trace", target.pid, "-o", path)
    until(lambda: path.exists() and path.stat().st_size > 1 << 16, 30, "it writes")
    process.send_signal(signal.SIGINT)
    until(lambda: not programs_of(process.pid), 30, "it lets go, and writes")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    told = [re.search(rb"([\d,]+) calls have no line", err), re.search(rb"([\d,]+) of [\d,]+ calls are missing", err)]
    missing = sum(int(each[1].replace(b",", b"")) for each in told if each)
    assert told[0], err
    assert path.read_text().splitlines()[-1] == f"strace: {missing} lines were dropped: the reader was too slow"
    assert target.runs()


@contextlib.contextmanager
def _group(name: str, targets: list[Workload]) -> Iterator[str]:
    """A cgroup of these, as a target."""
    root = freezer_root()
    assert root is not None
    folder = root / f"straced-{os.getpid()}-{name}"
    folder.mkdir()
    try:
        for target in targets:
            (folder / "cgroup.procs").write_text(str(target.pid))
        yield f"cgroup:{folder}"
    finally:
        for target in targets:
            target.kill()
        until(lambda: not (folder / "cgroup.procs").read_text(), what="the cgroup is empty")
        folder.rmdir()


@pytest.mark.needs("ebpf", "cc", "strace", "root", "freezer")
def test_all_trees_of_a_group_are_recorded_and_strace_says_which_it_took(start: Starter, tmp_path: Path) -> None:
    targets = [start("n", 30), start("n", 50)]
    path, page = tmp_path / "t", tmp_path / "t.html"
    with _group(tmp_path.name, targets) as group:
        done = straced("trace", group, "--tracer", "strace", "-e", "getppid", "-d", "0.1s", "-o", tmp_path / "one")
        process = popen_straced("trace", group, "--format", "strc", "-o", path, "--report", page)
        until(path.exists, 60, "it records")
        for target in targets:
            target.finish()
            target.let_end()
        _out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert check_sums(RecordFile(path))["getppid"] == 80
    assert {each.pid for each in RecordFile(path).facts.processes} == {target.pid for target in targets}
    assert "getppid" in page.read_text()
    assert done.status == 0, done.err
    first = min(target.pid for target in targets)
    assert f"{group} is 2 trees of processes; strace traces that of {first} (" in done.err


@pytest.mark.needs("ebpf")
def test_lines_of_a_command_leave_it_its_stdout() -> None:
    done = straced("trace", "-e", "execve,exit_group", "--", "sh", "-c", "echo its own; exit 4")
    assert (done.status, done.out) == (4, "its own\n")
    assert re.search(r'execve\("\S*/sh", \["sh", "-c", "echo its own; exit 4"\]', done.err)
    assert re.search(r"exit_group\(4\) += \?", done.err)


@pytest.mark.needs("root", "setpriv")
def test_a_command_is_not_run_when_it_cannot_be_recorded() -> None:
    done = straced("trace", "-o", "/none/t.strc", "--", "sh", "-c", "echo it ran", prefix=NOBODY)
    assert (done.status, done.out) == (5, "")
    assert "eBPF needs root" in done.err
    assert "slower: straced trace --tracer strace -o /none/t.txt -- sh -c 'echo it ran'\n" in done.err


@pytest.mark.needs("ebpf")
def test_a_killed_owner_leaves_a_target_that_runs_and_a_file_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.strc"
    with subprocess.Popen([sys.executable, "-c", LOOP]) as loop:
        try:
            process = popen_straced("trace", loop.pid, "-o", path)
            until(lambda: path.exists() and path.stat().st_size > 1 << 20, 30, "it writes")
            held = programs_of(process.pid)
            assert held
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=30)
            assert proc.state(loop.pid) in "RS"
        finally:
            loop.kill()
    file = RecordFile(path)
    assert file.end is None
    assert sum(each.kind in CALLS for each in file) > 1000
    quality = json.loads(straced("report", path, "--json").out)["summary"]["quality"]
    assert (quality["kind"], quality["lost"]) == ("partial", None)
    assert "has no end" in quality["reasons"][-1]["text"]


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("name", ["t.strc", "t.txt"])
def test_a_command_has_its_own_status_when_its_trace_is_cut(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    many = "import os\nfor _ in range(30000): os.getppid()\nprint('done', flush=True); os._exit(7)"
    limits = ["sh", "-c", 'trap "" XFSZ; ulimit -S -f 128; exec "$@"', "-"]
    command = ["sh", "-c", 'ulimit -S -f unlimited; exec "$@"', "-", sys.executable, "-c", many]
    done = straced("trace", "-o", path, "--", *command, prefix=limits)
    assert (done.status, done.out) == (7, "done\n")
    assert "ulimit -f" in done.err


@pytest.mark.needs("ebpf")
def test_a_signal_before_the_command_began_is_no_fault(tmp_path: Path) -> None:
    process = popen_straced("trace", "-o", tmp_path / "t.strc", "--", "sleep", "60")
    until(lambda: proc.children(process.pid), 30, "it has started the gate")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing target"),
        (["1", "--", "true"], "one target"),
        (["1", "--tracer", "strace", "-o", "t.strc"], "--tracer ebpf"),
        (["--tracer", "strace", "-o", "t.strc", "--", "true"], "--tracer ebpf"),
        (["1", "--tracer", "strace", "--slower", "1s"], "--tracer ebpf"),
        (["1", "--tracer", "ebpf", "-P", "/etc"], "-P is for strace"),
        (["-s", "64", "-o", "t.strc", "--", "true"], "-s is for strace"),
        (["--ring", "1TB", "-o", "t.strc", "--", "true"], "is no size of a ring"),
        (["--tracer", "ebpf", "-e", "%desc", "--", "true"], "only strace knows"),
        (["-o", "/there/is/no/t.strc", "--", "true"], "/there/is/no"),
        (["-o", "t.strc", "--", "/there/is/no/program"], "no such file"),
    ],
)
def test_what_cannot_be_is_said(words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = straced("trace", *words)
    assert done.status
    assert said in done.err
    assert not (tmp_path / "t.strc").exists()
