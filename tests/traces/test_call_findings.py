"""What an operator looks for in a trace: loops that get nowhere, errors however few or many, and how it ended.

Of `traces/analysis/call_findings.py`, `traces/analysis/idle_calls.py`, `traces/analysis/last_calls.py`,
`traces/analysis/outliers.py`, `traces/analysis/slow_calls.py` and `traces/report/at_end.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.traces.parsing import source
from straced.traces.parsing.comments import TracedProcessFacts, comment
from straced.traces.values import TraceReport
from tests.traces.written import lines, report_of

HUNG = "epoll_wait(6, [{events=EPOLLIN|EPOLLHUP, data={u32=9, u64=9}}], 16, 100) = 1 <0.000004>"
LOOPS = {
    "idle_polls": (HUNG, 300, "on fd 9"),
    "idle_polls ": ("poll([{fd=8, events=POLLIN}], 1, 0) = 0 (Timeout) <0.000004>", 300, "without waiting"),
    "idle_polls  ": ("select(4, [3], [], [], {tv_sec=0, tv_usec=0}) = 0 (Timeout) <0.000004>", 300, "without waiting"),
    "idle_polls   ": (
        "ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=0, tv_nsec=0}, NULL, 0) = 0 (Timeout) <0.000004>",
        300,
        "without waiting",
    ),
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


READY = "epoll_wait(3, [{events=EPOLLIN, data={u32=4, u64=4}}], 16, 1000) = 1 <0.000004>"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (READY, True),
        ("wait4(9, 0x7ffe, WNOHANG, NULL) = 0 <0.000004>", True),
        (READY.replace("000004", "100000"), False),
        ("futex(0x1, FUTEX_WAKE_PRIVATE, 1) = 1 <0.000004>", False),
    ],
)
def test_what_is_made_to_wait_and_returns_at_once(tmp_path: Path, call: str, found: bool) -> None:
    """Level-triggered and nothing is read in between; of one process among others."""
    text = lines(*[call] * 1200) + lines(*["getcwd('/', 9) = 2 <0.000004>"] * 4000, pid=71)
    loops = [each for each in report_of(tmp_path, text).findings if each.code == "busy_loop"]
    assert [(each.count, each.cost_ns) for each in loops] == ([(1200, 4_800_000)] if found else [])
    answered = lines(*[call, 'read(4, "x", 1) = 1 <0.000004>'] * 1200)
    assert not [each for each in report_of(tmp_path, answered).findings if each.code == "busy_loop"]


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
    assert (finding.subject, finding.lines) == ("SIGSEGV", (4, 3))


@pytest.mark.parametrize("width", [60, 1 << 20])
def test_the_last_calls_and_words_of_a_killed_process(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all its threads, the latest; of nobody else; however the log comes in blocks."""
    monkeypatch.setattr(source, "BLOCK_BYTES", width)
    facts = comment("process", TracedProcessFacts(pid=70, tasks=[70, 71])).decode()
    text = facts + lines('write(2, "starting\\n", 9) = 9 <0.000010>', "futex(0x1, FUTEX_WAIT, 0 <unfinished ...>")
    text += lines(
        'write(2<pipe:[1]>, "bad \\303\\274\\n", 7 <unfinished ...>', "<... write resumed>) = 7 <0.1>", pid=71
    )
    text += lines('write(2, "of another", 10) = 10 <0.000010>', pid=99)
    text += lines("getppid()     = 1 <0.000010>", "tgkill(70, 71, SIGABRT) = 0 <0.000010>", pid=71)
    text += lines("<... futex resumed>) = ?") + "".join(lines("+++ killed by SIGABRT +++", pid=pid) for pid in (71, 70))
    (finding,) = (each for each in report_of(tmp_path, text).findings if each.code == "killed")
    assert finding.lines == (11, 4, 7, 8)
    assert finding.text == (
        'process 70 was killed by SIGABRT; its last calls: write(2<pipe:[1]>, "bad \\303\\274\\n", 7 ...; '
        "getppid() = 1 <0.000010>; tgkill(70, 71, SIGABRT) = 0 <0.000010>; "
        "it wrote to stderr last (line 4): bad \u00fc"
    )


def outliers_of(made: TraceReport) -> list[tuple[str, str, int]]:
    return [(each.code, each.subject, each.count) for each in made.findings if each.code.startswith("slow_")]


def test_a_slow_file_among_fast_ones(tmp_path: Path) -> None:
    fast = [f'openat(AT_FDCWD, "/srv/{number}", O_RDONLY) = 3 <0.000001>' for number in range(8)]
    slow = ['openat(AT_FDCWD, "/mnt/far", O_RDONLY) = 3 <0.004000>'] * 3
    assert outliers_of(report_of(tmp_path, lines(*fast, *slow))) == [("slow_file", "/mnt/far", 3)]
    busy = ['openat(AT_FDCWD, "/srv/7", O_RDONLY) = 3 <0.004000>', *fast[7:] * 3]
    assert outliers_of(report_of(tmp_path, lines(*fast, *busy))) == []  # one call of many: the CPU was busy
    assert outliers_of(report_of(tmp_path, lines(*fast[:3], *slow))) == []
    bulk = [
        line
        for number in range(9)
        for line in (f'openat(AT_FDCWD, "/big/{number}", O_RDONLY) = 4 <0.000001>',
                     f'read(4, ""..., 4000000) = {4_000_000 if number else 9} <0.{4000 if number == 1 else 1:06d}>')
    ]  # fmt: skip
    assert outliers_of(report_of(tmp_path, lines(*bulk * 3))) == []


def test_a_slow_peer_among_fast_ones(tmp_path: Path) -> None:
    talk = []
    for number in range(1, 8):
        ns = "0.004000" if number == 5 else "0.000040"
        talk += [
            "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3 <0.000001>",
            f'connect(3, {{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.{number}")}}, 16) = 0 '
            "<0.000050>",
            f'recvfrom(3, "x", 10, 0, NULL, NULL) = 1 <{ns}>',
            "close(3) = 0 <0.000001>",
        ]
    assert outliers_of(report_of(tmp_path, lines(*talk * 3))) == [("slow_peer", "10.0.0.5:80", 3)]


def test_a_read_that_waits_for_others_is_no_slow_call(tmp_path: Path) -> None:
    text = lines(
        "pipe2([3, 4], O_CLOEXEC) = 0 <0.000010>", "read(3,  <unfinished ...>", '<... read resumed>"x", 9) = 1 <0.9>'
    )
    made = report_of(tmp_path, text + lines('read(9, "x", 9) = 1 <0.800000>', pid=71))
    assert [each.subject for each in made.findings if each.code == "slow_call"] == ["read"]
    first, second = made.slowest[:2]
    assert (first.text, first.path, second.path) == ('read(3, "x", 9) = 1 <0.9>', "pipe of 70, line 1", None)


@pytest.mark.parametrize(
    "call",
    [
        "vfork() = 71 <0.900000>",
        "clone(child_stack=0x1, flags=0x4111) = 71 <0.9>",
        "clone(child_stack=0x1, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = 71 <0.9>",
    ],
)
def test_the_parent_of_a_vfork_is_made_to_wait(tmp_path: Path, call: str) -> None:
    assert not [each for each in report_of(tmp_path, lines(call)).findings if each.code == "slow_call"]
