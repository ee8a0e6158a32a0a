"""The plugin in real runs of pytest: what is counted, what breaks a budget, and who counts.

Of `pytest_plugin/__init__.py`, `pytest_plugin/run_test.py`, `pytest_plugin/run_state.py`, `pytest_plugin/fixture.py`,
`pytest_plugin/forked.py` and `tracers/ebpf/own_process.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.pytest_plugin.inner import InnerPytest
from tests.support.needs import unavailable
from tests.support.owner import NOBODY

TESTS = """
    import asyncio, os, subprocess, sys, threading
    import pytest

    calls = lambda count: [os.getppid() for _ in range(count)]
    syscalls = pytest.mark.syscalls
    memory = {"brk", "madvise", "mmap", "mprotect", "mremap", "munmap", "futex"}
    meant = lambda counts: {name: count for name, count in counts.items() if name not in memory}

    @pytest.fixture
    def busy():
        calls(50)
        os.path.exists("/nowhere")
        yield
        calls(50)

    @syscalls(max={"getppid": 3, "total": 20}, errors={"ENOENT": 0})
    def test_kept(busy):
        calls(3)

    @syscalls(max={"getppid": 3}, none=["fsync"], errors={"ENOENT": 1})
    def test_broken(tmp_path):
        calls(5)
        with open(tmp_path / "x", "w") as file:
            os.fsync(file)
        for _ in range(4):
            os.path.exists("/nowhere")

    @syscalls(max={"getppid": 3}, new=False)
    def test_new():
        calls(1)
        os.getpgid(0)

    def in_a_thread():
        thread = threading.Thread(target=calls, args=(5,))
        thread.start()
        thread.join()

    @syscalls(max={"getppid": 4})
    def test_threads():
        in_a_thread()

    @syscalls(max={"getppid": 0}, threads=False)
    def test_without_threads():
        in_a_thread()

    @syscalls(max={"wait4": 1, "exit_group": 1})
    def test_children():
        for _ in range(2):
            subprocess.run(["true"], check=True)

    @syscalls(none=["exit_group"], children=False)
    def test_without_children():
        subprocess.run(["true"], check=True)

    @syscalls(max={"getppid": 0})
    def test_its_own_failure_goes_first():
        calls(1)
        assert "this" == "that"

    @syscalls(max={"getppid": 0})
    def test_its_own_skip_goes_first():
        pytest.skip("not today")

    @pytest.mark.xfail(strict=True)
    @syscalls(max={"getppid": 0})
    def test_expected_to_fail():
        calls(1)

    @syscalls(max={"getppid": 3})
    async def test_asyncio():
        calls(1)
        await asyncio.sleep(0)
        await asyncio.to_thread(calls, 2)

    def test_fixture(syscalls):
        assert (meant(syscalls.counts), syscalls.counts.errors) == ({}, {})
        calls(7)
        assert meant(syscalls.counts) == {"getppid": 7}
        with syscalls.during() as seen:
            calls(1)
            os.path.exists("/nowhere")
        assert (seen["getppid"], seen["ENOENT"], seen["fsync"], seen.errors) == (1, 1, 0, {"ENOENT": 1})
        syscalls.reset()
        assert meant(syscalls.counts) == {}

    @syscalls(max={"opnat": 1})
    def test_a_marker_that_cannot_be_understood():
        pass

    class TestOfAClass:
        pytestmark = syscalls(none=["getppid"])

        def test_of_a_class(self):
            calls(2)

    def test_unmarked():
        calls(100)
"""
LEFT_BEHIND = """
    import os, threading, time
    import pytest

    go, done = threading.Event(), []

    def linger():
        go.wait()
        done.extend(os.getppid() for _ in range(50))

    thread = threading.Thread(target=linger)

    @pytest.mark.syscalls(max={"getppid": 0})
    def test_starts_it():
        thread.start()

    @pytest.mark.syscalls(max={"getppid": 9})
    def test_it_ends_here():
        go.set()
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):  # join() returns a little earlier
            time.sleep(0.001)
        assert len(done) == 50

    @pytest.mark.syscalls(max={"getppid": 9})
    def test_breaks_it_alone():
        for _ in range(10):
            os.getppid()
"""
PASSED = [
    "test_asyncio", "test_fixture", "test_kept", "test_unmarked", "test_without_children", "test_without_threads",
]  # fmt: skip
BROKEN = {
    "test_broken": ["ENOENT 1 4 +3", "getppid 3 5 +2", "fsync 0 1 +1"],
    "test_new": ["getpgid (new) 0 1 +1"],
    "test_threads": ["getppid 4 5 +1"],
    "test_children": ["exit_group 1 2 +1", "wait4 1 2 +1"],
    "test_of_a_class": ["getppid 0 2 +2"],
}


@pytest.mark.parametrize(
    "tracer",
    [
        pytest.param("ebpf", marks=pytest.mark.needs("ebpf")),
        pytest.param("strace", marks=pytest.mark.needs("strace")),
    ],
)
def test_budgets_are_the_same_whoever_counts(inner: InnerPytest, tracer: str) -> None:
    inner.write(TESTS)
    # strace serves whoever may not use eBPF: that is how it is asked here, where there is another user
    prefix = NOBODY if tracer == "strace" and os.geteuid() == 0 else ()
    words = ("-p", "asyncio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    done = inner.run(*words, *(("--syscalls-tracer", "ebpf") if tracer == "ebpf" else ()), prefix=prefix)
    assert done.passed == PASSED, done.text
    for name, rows in BROKEN.items():
        assert done.outcomes[name] == "failed"
        table = [" ".join(line.split()) for line in done.messages[name].splitlines()]
        assert [row for row in rows if row not in table] == [], done.messages[name]
        assert f"budget broken: {len(rows)} limit" in done.messages[name]
    if tracer == "strace":
        said = done.messages["test_broken"]
        assert re.search(r'ENOENT: newfstatat\(AT_FDCWD.*, "/nowhere", .* = -1 ENOENT ', said), said
        assert re.search(r"fsync: fsync\(\d+</.*/x>\) += 0$", said, re.MULTILINE), said
        assert "getpgid (new): getpgid(0)" in done.messages["test_new"]
    assert "assert 'this' == 'that'" in done.messages["test_its_own_failure_goes_first"]
    assert "not today" in done.messages["test_its_own_skip_goes_first"]
    assert "perhaps openat" in done.messages["test_a_marker_that_cannot_be_understood"]
    assert done.outcomes["test_expected_to_fail"] == "skipped", "that is how JUnit tells of an expected failure"
    assert len(done.outcomes) == len(PASSED) + len(BROKEN) + 4


def test_a_run_without_budgets_loads_nothing_of_straced(inner: InnerPytest) -> None:
    inner.write("""
        import sys, threading

        def test_it():
            loaded = {name for name in sys.modules if name.split(".")[0] in ("straced", "msgspec")}
            assert loaded == {"straced", "straced._version", "straced.pytest_plugin"}
            assert threading.active_count() == 1
    """)
    assert inner.run().passed == ["test_it"]


def test_where_nobody_may_count_a_test_is_skipped_with_the_reason(inner: InnerPytest) -> None:
    inner.write("""
        import os, pytest

        @pytest.mark.syscalls(none=["getppid"])
        def test_it():
            os.getppid()
    """)
    done = inner.run("--syscalls-tracer", "ebpf", prefix=NOBODY if os.geteuid() == 0 else ())
    assert done.outcomes == {"test_it": "skipped"}, done.text
    assert "system calls cannot be counted here: eBPF: needs root" in done.messages["test_it"]


@pytest.mark.needs("ebpf")
def test_a_thread_that_another_test_left_behind_breaks_no_budget(inner: InnerPytest) -> None:
    inner.write(LEFT_BEHIND)
    done = inner.run("--syscalls-tracer", "ebpf")
    assert done.outcomes == {
        "test_starts_it": "passed", "test_it_ends_here": "skipped", "test_breaks_it_alone": "failed",
    }, done.text  # fmt: skip
    assert "ran before the test ended during it" in done.messages["test_it_ends_here"]


@pytest.mark.needs("ebpf", "xdist")
def test_the_lock_file_is_made_by_workers_and_checked_by_anybody(inner: InnerPytest) -> None:
    inner.write("""
        import os, pytest

        pytestmark = pytest.mark.syscalls
        MORE = int(os.environ.get("MORE", "0"))

        @pytest.mark.parametrize("count", range(4))
        def test_calls(count):
            for _ in range(count + (MORE if count == 2 else 0)):
                os.getppid()

        def test_new():
            os.path.exists("/nowhere")
            if MORE:
                os.getpgid(0)
    """)
    lock = inner.directory / "syscalls.toml"
    assert inner.run("-p", "xdist", "-n", "4", "--syscalls-record", lock.name).status == 0
    first = lock.read_text()
    assert '["test_inner.py::test_calls[2]"]\ngetppid = 2\n' in first
    assert '["test_inner.py::test_new"]\nnewfstatat = 1\nENOENT = 1\n' in first
    lock.write_text(first.replace("test_calls[3]", "test_calls[4]"))
    done = inner.run("--syscalls-check", lock.name, env={"MORE": "1"})
    assert done.passed == ["test_calls[0]", "test_calls[1]"], done.text
    assert "getppid 2 3 +1" in " ".join(done.messages["test_calls[2]"].split())
    assert "not in the lock file" in done.messages["test_calls[3]"]
    assert "getpgid (new) 0 1 +1" in " ".join(done.messages["test_new"].split())


@pytest.mark.needs("ebpf", "cc")
def test_a_leak_sanitizer_is_none_the_wiser(inner: InnerPytest, tmp_path: Path) -> None:
    """It gives up in a process that is under ptrace(2)."""
    source = tmp_path / "extension.c"
    source.write_text("int answer(void) { return 42; }\n")
    library = inner.directory / "extension.so"
    built = subprocess.run(["gcc", "-shared", "-fPIC", "-fsanitize=leak", "-o", library, source], capture_output=True)
    runtime = subprocess.run(["gcc", "-print-file-name=liblsan.so"], capture_output=True, text=True).stdout.strip()
    if built.returncode or not os.path.isabs(runtime):
        unavailable("sanitizer", "no compiler that has one")
    inner.write(f"""
        import ctypes, os, pytest

        @pytest.mark.syscalls(max={{"getppid": 1}})
        def test_it():
            assert ctypes.CDLL({str(library)!r}).answer() == 42
            os.getppid()
    """)
    done = inner.run(env={"LD_PRELOAD": runtime, "LSAN_OPTIONS": "exitcode=0"})
    assert done.passed == ["test_it"], done.text
    assert "SUMMARY: LeakSanitizer: " in done.text, "it came to its end, and found what Python itself leaves"
