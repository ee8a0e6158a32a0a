"""Workloads with a known truth: every count and error is exact.

Of `traces/analysis/calls.py`, `traces/analysis/counters.py` and `traces/analysis/error_calls.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.model.types import SyscallStats
from tests.traces.recorded import record, report

FLAGS = ("-f", "-tt", "-T")


def rows(tmp_path: Path, truth: str, *words: str) -> dict[str, SyscallStats]:
    made = report(record(tmp_path, [truth, *words], FLAGS))
    assert made.summary.quality.kind == "exact"
    lean = report(tmp_path / "trace", counts=True)
    assert {row.name: (row.calls, row.errors, row.wall_ns) for row in lean.summary.rows} == {
        row.name: (row.calls, row.errors, row.wall_ns) for row in made.summary.rows
    }
    return made.summary.syscalls


@pytest.mark.parametrize(
    ("words", "truths"),
    [
        (("n", "2000"), {"getppid": 2000, "execve": 1, "exit_group": 1}),
        (("threads",), {"getppid": 16000, "exit": 8}),
        (("forks",), {"getppid": 8000, "exit_group": 9}),
        (("vforks",), {"getppid": 300, "vfork": 300, "exit_group": 301}),
        (("shorts",), {"getppid": 300, "exit_group": 301}),
        (("execs",), {"getppid": 1000, "execve": 11, "exit_group": 11}),
        (("threxec",), {"getppid": 2000, "execve": 2, "exit_group": 1}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_counts(tmp_path: Path, truth: str, words: tuple[str, ...], truths: dict[str, int]) -> None:
    found = rows(tmp_path, truth, *words)
    assert {name: found[name].calls for name in truths} == truths
    assert not any(row.in_flight for row in found.values())


def test_errors_by_errno(tmp_path: Path, truth: str) -> None:
    found = rows(tmp_path, truth, "errors")
    assert found["kill"].errno == {"ESRCH": 1000}
    assert found["close"].errno == {"EBADF": 1000}
    assert (found["openat"].errno or {})["ENOENT"] >= 1000
    assert (found["read"].errno or {})["EBADF"] == 1000


def test_an_interrupted_sleep_is_an_error(tmp_path: Path, truth: str) -> None:
    row = rows(tmp_path, truth, "interrupted")["nanosleep"]
    assert (row.calls, row.errors, row.errno, row.restarts) == (50, 50, {"EINTR": 50}, 0)


def test_a_restarted_read_is_one_call(tmp_path: Path, truth: str) -> None:
    found = rows(tmp_path, truth, "restarted")
    text = (tmp_path / "trace").read_bytes()
    reads = text.count(b" read(") - text.count(b'read(3, "\\177ELF')
    row = found["read"]
    assert row.restarts is not None
    assert row.restarts >= 10, "the signals did not hit the read"
    assert row.calls == text.count(b'read(3, "\\177ELF') + 1
    assert reads == row.restarts + 1
    assert row.errors == 0
    assert found["rt_sigreturn"].errors == 0


def test_unknown_numbers_keep_their_number(tmp_path: Path, truth: str) -> None:
    found = rows(tmp_path, truth, "unknown")
    unknown = {name: row for name, row in found.items() if name.startswith("syscall_0x")}
    assert {name: (row.calls, row.nr) for name, row in unknown.items()} == {
        f"syscall_{1000 + i:#x}": (300, 1000 + i) for i in range(3)
    }


def test_denied_by_seccomp(tmp_path: Path, truth: str) -> None:
    row = rows(tmp_path, truth, "denied")["getppid"]
    assert (row.calls, row.errno) == (100, {"EPERM": 100})


def test_bytes_syncs_and_paths(tmp_path: Path, truth: str) -> None:
    path = tmp_path / "data"
    for flags in (FLAGS, (*FLAGS, "-y"), (*FLAGS, "-yy")):
        made = report(record(tmp_path, [truth, "transfers", str(path)], flags))
        (row,) = [each for each in made.files if each.path == str(path)]
        assert (row.in_bytes, row.out_bytes, row.opens, row.errors) == (5000, 50000, 1, 0)
        assert row.syscalls == {"openat": 1, "pwrite64": 500, "pread64": 500, "fsync": 1, "close": 1}
        codes = {finding.code: finding for finding in made.findings}
        assert codes["tiny_io"].subject == str(path)
        assert codes["tiny_io"].count == 1000
        assert codes["fsync"].count == 1
