"""The parts of the plugin that need no run of pytest.

Of `pytest_plugin/windows.py`, `pytest_plugin/marks.py`, `pytest_plugin/lock_file.py`, `pytest_plugin/run_state.py` and
`pytest_plugin/trace_reader.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from straced.errors import InvalidArgument, StracedError
from straced.model.budgets import CallCounts
from straced.pytest_plugin import lock_file, marks
from straced.pytest_plugin.run_state import LockWriter
from straced.pytest_plugin.trace_reader import TraceReader, counted_lines
from straced.pytest_plugin.windows import Scope, between
from straced.tracers.ebpf.own_process import OwnReading

ME = (10, 10)


def reading(requests: int = 0, **tasks: int) -> OwnReading:
    """``p10_t11=3``: thread 11 of process 10 has called getppid three times."""
    found = {}
    for name, count in tasks.items():
        pid, tid = (int(part[1:]) for part in name.split("_"))
        found[pid, tid, 0] = CallCounts({"getppid": count} if count else {})
    return OwnReading(found, requests, 0)


BEFORE = reading(p10_t0=100, p10_t10=50, p10_t11=30, p20_t0=0, p20_t20=7, p0_t0=9)
AFTER = reading(p10_t0=140, p10_t10=51, p10_t11=32, p10_t12=4, p20_t0=0, p20_t20=15, p30_t0=0, p30_t30=1000, p0_t0=209)
"""A thread that began and ended (40), one that is new and runs (4); a child that ended (200), one that runs (1000)."""


@pytest.mark.parametrize(
    ("threads", "children", "calls"),
    [
        (False, False, 1),
        (True, False, 1 + 40 + 4),
        ("all", False, 1 + 40 + 4 + 2),
        (False, True, 1 + 200 + 1000),
        (False, "all", 1 + 200 + 1000 + 8),
        ("all", "all", 1 + 40 + 4 + 2 + 200 + 1000 + 8),
    ],
)
def test_whose_calls_are_meant(threads: Scope, children: Scope, calls: int) -> None:
    assert between(BEFORE, AFTER, ME, threads, children).calls == {"getppid": calls}


def test_what_may_be_of_something_that_ran_before_and_ended_is_told_apart() -> None:
    left = OwnReading(
        {key: counts for key, counts in AFTER.tasks.items() if key[:2] not in ((10, 11), (20, 0), (20, 20))}, 0, 0
    )
    assert between(BEFORE, left, ME, True, False, surely=True).calls == {"getppid": 1 + 4}, "thread 11 ended"
    assert between(BEFORE, left, ME, False, True, surely=True).calls == {"getppid": 1 + 1000}, "child 20 ended"
    for everything in (between(BEFORE, AFTER, ME, True, True), between(BEFORE, AFTER, ME, True, True, surely=True)):
        assert everything.calls == {"getppid": 1 + 40 + 4 + 200 + 1000}
    assert between(BEFORE, left, ME, "all", "all", surely=True) == between(BEFORE, left, ME, "all", "all")


def test_calls_of_the_reading_itself_are_not_in_it() -> None:
    before = OwnReading({(10, 10, 0): CallCounts({"bpf": 5})}, 5, 0)
    after = OwnReading({(10, 10, 0): CallCounts({"bpf": 9, "read": 1})}, 8, 0)
    assert between(before, after, ME, True, True).calls == {"bpf": 1, "read": 1}, "one of them the test made"
    assert between(reading(), reading(), ME, True, True) == CallCounts()


GARBAGE = """
import gc
from straced.pytest_plugin.windows import KeptGarbage

class Loud:
    def __del__(self):
        gone.append(self.name)

def make(name):
    loud = Loud()
    loud.itself, loud.name = loud, name

gone = []
make("before")
with KeptGarbage():
    make("the test's own")
    gc.collect()
    assert gone == ["the test's own"], gone
gc.collect()
assert gone == ["the test's own", "before"], gone
gc.freeze()
frozen = gc.get_freeze_count()
with KeptGarbage():
    pass
assert gc.get_freeze_count() == frozen, "what a program has frozen itself stays so"
"""


def test_garbage_from_before_is_kept_until_after() -> None:
    """In a process of its own: this one has frozen objects."""
    done = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def item(*given: dict[str, Any]) -> Any:
    """What the plugin asks of a test: its markers, the nearest first."""
    return SimpleNamespace(iter_markers=lambda name: (pytest.mark.syscalls(**each).mark for each in given))


def test_the_nearest_marker_says_more() -> None:
    budget = marks.of(item({"max": {"read": 1}}, {"max": {"read": 9, "write": 9}, "none": "fsync", "threads": "all"}))
    assert budget.limits == {"read": 1, "fsync": 0}
    assert (budget.threads, budget.children, budget.new) == ("all", True, True)


@pytest.mark.parametrize(
    "given",
    [
        {"max": {"opnat": 1}}, {"max": {"read": -1}}, {"max": {"read": True}}, {"max": ["read"]}, {"none": 3},
        {"errors": {"ENOWHERE": 1}}, {"threads": "some"}, {"children": 1.5}, {"limit": 3},
    ],
)  # fmt: skip
def test_a_marker_that_cannot_be_understood(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        marks.of(item(given))


def test_what_is_locked_allows_no_more_than_either() -> None:
    budget = marks.SyscallBudget(limits={"read": 5, "write": 1}).locked({"read": 3, "write": 2, "ENOENT": 1})
    assert budget.limits == {"read": 3, "write": 1, "ENOENT": 1}
    made = CallCounts({"read": 4, "mmap": 99, "openat": 2}, {("openat", "ENOENT"): 2})
    assert [(each.key, each.over) for each in budget.broken_by(made)] == [
        ("read", 1), ("ENOENT", 1), ("openat (new)", 2),
    ]  # fmt: skip


def test_a_lock_file_comes_back_as_it_was_and_is_sorted(tmp_path: Path) -> None:
    counts = CallCounts(
        {"write": 2, "openat": 40, "mmap": 7, "futex": 1}, {("openat", "ENOENT"): 3, ("futex", "EAGAIN"): 1}
    )
    assert list(marks.recorded_keys(counts).items()) == [("openat", 40), ("write", 2), ("ENOENT", 3)]
    recorded = {'b::t["\\\n\x7f]': {"read": 1}, "a::t": marks.recorded_keys(counts)}
    path = tmp_path / "syscalls.toml"
    lock_file.save(path, recorded)
    assert lock_file.load(path) == recorded
    assert path.read_text().index("a::t") < path.read_text().index("b::t")


@pytest.mark.parametrize("text", ["<<<<<<< ours", '["a"]\nread = "many"', '["a"]\nraed = 1', "read = 1"])
def test_a_damaged_lock_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "syscalls.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument):
        lock_file.load(path)
    with pytest.raises(StracedError, match="No such file"):
        lock_file.load(tmp_path / "none")


def test_recording_replaces_the_sections_of_the_tests_that_ran(tmp_path: Path) -> None:
    path = tmp_path / "syscalls.toml"
    lock_file.save(path, {"a": {"read": 1}, "b": {"read": 2}})
    writer = LockWriter(path)
    for name, passed in (("b", True), ("c", True), ("a", False)):
        writer.pytest_runtest_logreport(
            SimpleNamespace(nodeid=name, when="call", passed=passed, straced_counts={"write": 5})
        )
    writer.pytest_runtest_logreport(SimpleNamespace(nodeid="d", when="call", passed=True))
    writer.pytest_sessionfinish()
    assert lock_file.load(path) == {"a": {"read": 1}, "b": {"write": 5}, "c": {"write": 5}}


TRACE = b"""\
10 12:00:00 read(3, "1", 1) = 1
10 12:00:00 access("/straced/x/off", F_OK) = -1 ENOENT (No such file or directory)
10 12:00:00 memfd_create("straced-window", MFD_CLOEXEC) = 4
10 12:00:00 access("/straced/x/on", F_OK) = -1 ENOENT (No such file or directory)
10 12:00:00 getppid() = 1
11 12:00:00 getpgid(0) = 1
10 12:00:00 access("/straced/x/off", F_OK <unfinished ...>
11 12:00:00 getpid() = 11
10 12:00:00 <... access resumed>) = -1 ENOENT (No such file or directory)
10 12:00:00 close(4) = 0
11 12:00:00 gettid() = 11
10 12:00:00 access("/straced/x/on", F_OK) = -1 ENOENT (No such file or directory)
10 12:00:00 write(1, "\\"/straced/x/", 12) = 12
10 12:00:00 access("/straced/x/off", F_O"""


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        (
            "openat",
            ['openat(AT_FDCWD, "/a", 0) = 3', 'openat(AT_FDCWD, "/b", 0) = -1 ENOENT (No such file)'],
        ),
        ("ENOENT", ['openat(AT_FDCWD, "/b", 0) = -1 ENOENT (No such file)']),
        ("openat.EACCES", []),
        ("getpid (new)", ["getpid() = 7"]),
        ("total", []),
    ],
)
def test_the_calls_that_broke_a_limit_are_shown_as_strace_has_them(key: str, calls: list[str], tmp_path: Path) -> None:
    reader = TraceReader(tmp_path / "trace")
    reader._lines = [
        b'10 1.5 openat(AT_FDCWD, "/a", 0) = 3 <0.000001>\n',
        b"10    1.5 getpid() = 7 <0.000001>\n",
        b'11 1.5 openat(AT_FDCWD, "/b", 0) = -1 ENOENT (No such file) <0.000001>\n',
        b"11 1.5 +++ exited with 0 +++\n",
    ]
    assert reader.calls_of(key) == calls


def test_of_the_reading_thread_counts_what_is_between_two_readings() -> None:
    lines = b"".join(counted_lines(TRACE, b"10 ", b"/straced/x/")).decode().splitlines()
    assert [line.split()[2].partition("(")[0] for line in lines] == ["getppid", "getpgid", "getpid", "gettid", "write"]
