"""What an operator looks for in a trace: loops that get nowhere, errors however few or many, and how it ended.

Of `traces/analysis/call_findings.py`, `traces/analysis/idle_calls.py` and `traces/report/at_end.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traces.written import lines, report_of

HUNG = "epoll_wait(6, [{events=EPOLLIN|EPOLLHUP, data={u32=9, u64=9}}], 16, 100) = 1 <0.000004>"
LOOPS = {
    "idle_polls": (HUNG, 300, "on fd 9"),
    "idle_polls ": ("poll([{fd=8, events=POLLIN}], 1, 0) = 0 (Timeout) <0.000004>", 300, "without waiting"),
    "failing_calls": ("close(77) = -1 EBADF (Bad file descriptor) <0.000004>", 60, "all 60 close calls"),
    "fatal_errors": (
        'openat(AT_FDCWD, "/a", O_RDONLY) = -1 EMFILE (Too many open files) <0.000004>',
        2,
        "all 2 openat",
    ),
    "fatal_errors ": ("vfork() = -1 EAGAIN (Resource temporarily unavailable) <0.000004>", 3, "all 3 vfork"),
    "no_vdso": ("clock_gettime(CLOCK_MONOTONIC, {tv_sec=1, tv_nsec=2}) = 0 <0.000004>", 150, "vDSO"),
    "busy_loop": ("sched_yield() = 0 <0.000004>", 1200, "100 %"),
    "io_uring": ("io_uring_enter(3, 1, 0, 0, NULL, 8) = 1 <0.000004>", 1, "not seen"),
}


@pytest.mark.parametrize("code", LOOPS)
@pytest.mark.parametrize("clocks", [True, False])
def test_found(tmp_path: Path, code: str, clocks: bool) -> None:
    call, times, words = LOOPS[code]
    text = lines(*[call] * times)
    if not clocks:
        text = "".join(f"70 {call}\n" for _ in range(times))
    found = [each for each in report_of(tmp_path, text).findings if each.code == code.strip()]
    assert len(found) == 1
    assert words in found[0].text
    assert found[0].count == times


@pytest.mark.parametrize("code", ["idle_polls", "failing_calls", "no_vdso", "busy_loop"])
def test_not_where_it_is_little_or_few(tmp_path: Path, code: str) -> None:
    call, times, _ = LOOPS[code]
    few = report_of(tmp_path, lines(*[call] * (times // 8)))
    assert not [each for each in few.findings if each.code == code]
    if code in ("idle_polls", "busy_loop"):
        little = report_of(tmp_path, lines(*[call] * times, *['getcwd("/", 9) = 2 <0.000004>'] * (3 * times)))
        assert not [each for each in little.findings if each.code == code]


def test_a_futex_whose_value_changed_was_not_waited_for(tmp_path: Path) -> None:
    call = "futex(0x55, FUTEX_WAIT_PRIVATE, 0, NULL) = -1 EAGAIN (Resource temporarily unavailable) <0.004000>"
    codes = {each.code: each for each in report_of(tmp_path, lines(*[call] * 500)).findings}
    assert "lock_waits" not in codes
    assert codes["failing_calls"].text.startswith("all 500 futex calls")


def test_how_it_ended_and_where_each_task_was(tmp_path: Path) -> None:
    text = lines('openat(AT_FDCWD, "/srv/q", O_RDONLY) = 5 <0.000010>', "flock(5, LOCK_EX <unfinished ...>")
    text += lines("getppid() = 70 <0.000010>", "+++ killed by SIGSEGV +++", pid=71)
    made = report_of(tmp_path, text)
    (task,) = made.at_end
    assert (task.tid, task.call, task.path, task.line) == (70, "flock", "/srv/q", 2)
    (finding,) = (each for each in made.findings if each.code == "killed")
    assert (finding.subject, finding.lines) == ("SIGSEGV", (4,))
