"""``straced attach``: what is it doing, until Ctrl-C, ``-d``, or its end.

Of `commands/attach.py`, `workflows/attach.py` and `workflows/standing.py`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest

from straced.errors import NotLive
from straced.linux.process_scan import abi_of, call_now
from straced.model.frame import OUTSIDE, RUNNING
from tests.support import proc
from tests.support import process_states as real
from tests.support.cli import popen_straced, straced
from tests.support.needs import freezer_root
from tests.support.poll import until
from tests.support.workload import Starter

pytestmark = pytest.mark.needs("strace", "cc")
STRACE = ("--tracer", "strace")


def test_for_a_while(start: Starter) -> None:
    target = start("tick")
    result = straced("attach", target.pid, *STRACE, "-d", "0.4s")
    assert result.status == 0
    assert "clock_nanosleep" in result.out
    assert "clock_nanosleep" not in result.err, "data on stdout, words on stderr"
    assert target.untraced()
    assert target.runs()


def test_ctrl_c_is_the_end_not_an_error(start: Starter) -> None:
    target = start("tick")
    process = popen_straced("attach", target.pid, *STRACE)
    until(lambda: not target.untraced(), 10, "it attaches")
    before = target.ticks()
    until(lambda: target.ticks() > before + 50)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert b"clock_nanosleep" in out
    assert target.runs()


def test_until_its_end(start: Starter) -> None:
    target = start("n", 300)
    process = popen_straced("attach", "-p", target.pid, *STRACE, "--json")
    until(target.held, 20, "it attaches")
    target.finish()
    target.let_end()
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert next(row["calls"] for row in result["syscalls"] if row["name"] == "getppid") == 300


def test_several_targets_have_a_line_each(start: Starter) -> None:
    targets = [start("tick"), start("spin")]
    result = straced("attach", *(target.pid for target in targets), *STRACE, "-d", "0.4s", "--json")
    found = {summary["target"]["pid"]: summary for summary in map(json.loads, result.out.splitlines())}
    assert set(found) == {target.pid for target in targets}
    for target in targets:
        assert target.untraced()


def test_by_name_and_an_ambiguous_one(start: Starter) -> None:
    name = f"gt-{os.getpid()}"
    one = start("esc", name)
    result = straced("attach", f"name:{name}", *STRACE, "-d", "0.3s", "--json")
    assert json.loads(result.out)["target"]["pid"] == one.pid
    two = start("esc", name)
    refused = straced("attach", f"name:{name}", *STRACE, "-d", "0.3s")
    assert refused.status == 2
    assert str(one.pid) in refused.err
    assert str(two.pid) in refused.err
    assert straced("attach", "name:no-such-name-*", *STRACE).status == 3


@pytest.mark.needs("root", "freezer")
def test_by_cgroup(start: Starter) -> None:
    root = freezer_root()
    assert root is not None
    folder = root / f"straced-cg-{os.getpid()}"
    folder.mkdir()
    target = start("tick")
    try:
        (folder / "cgroup.procs").write_text(str(target.pid))
        result = straced("attach", f"cgroup:{folder}", *STRACE, "-d", "0.3s", "--json")
        assert result.json()["target"]["pid"] == target.pid, result.err
    finally:
        target.kill()
        until(lambda: _removed(folder), what="the cgroup is empty")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True


def test_ptrace_must_be_asked_for(start: Starter, tmp_path: Path) -> None:
    """``auto`` never puts ptrace on a process that straced did not start."""
    target = start("tick")
    result = straced("attach", target.pid, "-d", "0.2s")
    if result.status == 0:
        assert "strace" not in result.err.lower().split("ebpf")[0]
    else:
        result.assert_clear_error(5)
        assert "--tracer strace" in result.err
    assert target.untraced()


def test_max_overhead_lets_go(start: Starter) -> None:
    target = start("spin")
    process = popen_straced("attach", target.pid, *STRACE, "--max-overhead", "1", "--json")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["end"] == "overhead"
    assert result["quality"]["kind"] == "partial"
    assert result["quality"]["overhead"]["pct"] > 1
    assert target.runs()


def test_into_a_file(start: Starter, tmp_path: Path) -> None:
    target = start("tick")
    result = straced("attach", target.pid, *STRACE, "-d", "0.3s", "-o", tmp_path / "table")
    assert (result.status, result.out) == (0, "")
    assert "clock_nanosleep" in (tmp_path / "table").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_straced_is_ended_by_force(start: Starter, number: signal.Signals) -> None:
    target = start("tick")
    process = popen_straced("attach", target.pid, *STRACE)
    until(lambda: not target.untraced(), 10, "it attaches")
    helper = proc.tracer(target.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert b"Traceback" not in err
    until(lambda: not proc.alive(helper), 3)
    assert target.untraced()
    assert target.runs()


def test_a_table_adds_up(start: Starter) -> None:
    result = straced("attach", start("spin").pid, *STRACE, "-d", "0.4s", "--all")
    rows = re.findall(r"(?m)^ (\w+) +([\d,]+) +([\d,]+) ", result.out)
    counts = {name: int(calls.replace(",", "")) for name, calls, _ in rows}
    assert counts.pop("total") == sum(counts.values())


def stands_in(pid: int) -> str | None:
    """The call of a process, while it is in one."""
    call = call_now(str(pid), abi_of(pid))
    return None if call in (RUNNING, OUTSIDE) else call


@pytest.mark.needs("ebpf")
def test_what_stands_still_is_told_with_its_call_and_what_to_ask_next(start: Starter) -> None:
    target = start("n", 300)  # it waits to be told to go
    call = until(lambda: stands_in(target.pid), 10)
    result = straced("attach", target.pid, "--tracer", "ebpf", "-d", "0.3s")
    assert result.status == 0
    assert re.search(rf"No call was made: it has been in {call} for ≥ [\d.]+ m?s\.", result.out), result.out
    assert f"straced why {target.pid}" in result.out
    assert target.untraced()


@pytest.mark.needs("ebpf")
@pytest.mark.parametrize("by", ["process", "thread"])
def test_processes_and_threads_are_told_apart(start: Starter, by: str) -> None:
    target = start("tick")
    result = straced("attach", target.pid, "--tracer", "ebpf", "--by", by, "--json", "-d", "0.4s")
    assert result.status == 0
    summary, *parts = map(json.loads, result.out.splitlines())
    assert {part["schema"] for part in parts} == {"straced.split/1"}
    assert sum(part["calls"] for part in parts) == summary["total"]["calls"]
    assert parts[0]["pid"] == target.pid
    assert parts[0]["tid"] == (target.pid if by == "thread" else None)
    assert "clock_nanosleep" in dict(parts[0]["busiest"])
    assert target.runs()


def test_strace_does_not_tell_processes_apart(start: Starter) -> None:
    target = start("tick")
    result = straced("attach", target.pid, *STRACE, "--by", "process")
    assert result.status == NotLive.exit_code
    assert "does not tell processes apart" in result.err
    assert "--tracer ebpf" in result.err
    assert target.untraced()
    assert straced("attach", target.pid, "--by", "process", "-i", "1s").status == 2


@pytest.mark.needs("ebpf")
def test_a_name_that_many_have_is_listed_or_all_of_them(tmp_path: Path) -> None:
    program = tmp_path / f"worker{os.getpid()}"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with real.running(str(program), "60") as first, real.running(str(program), "60") as second:
        refused = straced("attach", f"name:{program.name}", "-d", "0.2s")
        refused.assert_clear_error(2)
        typed = f"straced attach 'name:{program.name}' --all"
        assert f"type: straced attach {first} {second}, or all of them: {typed}\n" in refused.err
        done = straced(*shlex.split(typed)[1:], "-d", "0.2s", "--json")
        assert done.status == 0, done.err
        counted = [json.loads(line) for line in done.out.splitlines()]
        assert sorted(each["target"]["pid"] for each in counted) == sorted([first, second])
