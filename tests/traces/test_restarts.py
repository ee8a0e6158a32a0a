"""Calls that a signal interrupts are one call each, with all their time, however they go on.

Of `traces/parsing/resumed_sums.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from straced.traces.diff.profile import of_report as diff_profile
from straced.traces.parsing.comments import TracedProcessFacts, comment
from tests.traces.written import lines, report_of

STOP = (
    "--- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=9, si_uid=0} ---",
    "--- stopped by SIGSTOP ---",
    "--- SIGCONT {si_signo=SIGCONT, si_code=SI_USER, si_pid=9, si_uid=0} ---",
)
BLOCK = "= ? ERESTART_RESTARTBLOCK (Interrupted by signal)"
AGAIN = "restart_syscall(<... resuming interrupted {} ...>)"


def test_a_stopped_sleep_is_one_call_of_all_its_parts(tmp_path: Path) -> None:
    text = lines(
        f"clock_nanosleep(CLOCK_REALTIME, 0, {{tv_sec=9, tv_nsec=0}}, 0x1) {BLOCK} <1.500000>",
        *STOP,
        f"{AGAIN.format('clock_nanosleep')} {BLOCK} <2.500000>",
        *STOP,
        f"{AGAIN.format('read')} = 0 <3.000000>",
        "clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=0, tv_nsec=1000}, NULL) = 0 <0.250000>",
    )
    for counts in (False, True):
        (row,) = report_of(tmp_path, text, counts=counts).summary.rows
        assert (row.name, row.calls, row.restarts, row.errors) == ("clock_nanosleep", 2, 2, 0)
        assert (row.wall_ns, row.min_ns, row.max_ns) == (7_250_000_000, 250_000_000, 7_000_000_000)
        assert row.p99_ns is not None
        assert row.p99_ns > 6_900_000_000


def test_what_was_in_flight_at_the_attach_takes_no_later_call_away(tmp_path: Path) -> None:
    text = lines(
        f"{AGAIN.format('poll')} = 1 <4.000000>",
        "poll([{fd=5, events=POLLIN}], 1, -1) = 1 ([{fd=5, revents=POLLIN}]) <0.500000>",
        "poll([{fd=5, events=POLLIN}], 1, -1) = 1 ([{fd=5, revents=POLLIN}]) <0.250000>",
    )
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.name, row.calls, row.restarts, row.wall_ns) == ("poll", 2, 1, 4_750_000_000)
    assert (row.min_ns, row.max_ns) == (250_000_000, 4_000_000_000)


@pytest.mark.parametrize(("told", "name"), [("futex", "futex"), ("", "restart_syscall")])
def test_what_was_in_flight_at_the_attach_is_no_guess_of_strace(tmp_path: Path, told: str, name: str) -> None:
    """Before it has seen a call of the task, strace guesses call 0, which is read; a read is never gone on with so."""
    text = comment("process", TracedProcessFacts(pid=70, calls={70: told} if told else {})).decode()
    text += lines(
        f"{AGAIN.format('read')} = -1 ETIMEDOUT (Connection timed out) <4.000000>",
        'read(3, "x", 1) = 1 <0.000010>',
        f"{AGAIN.format('read')} <unfinished ...>",
    )
    for counts in (True, False):
        made = report_of(tmp_path, text, counts=counts)
        rows = {row.name: (row.calls, row.max_ns, row.errors) for row in made.summary.rows}
        assert rows.pop("read") == (1, 10_000, 0)
        if told:
            assert rows.pop("restart_syscall") == (1, None, 0)
        assert rows == {name: (0 if told else 2, 4_000_000_000, 1)}


def test_a_call_in_flight_has_no_time_yet(tmp_path: Path) -> None:
    text = lines("poll([{fd=5, events=POLLIN}], 1, -1 <unfinished ...>")
    made = report_of(tmp_path, text + lines("getppid() = 1 <0.000010>", "exit_group(0) = ?", pid=71))
    rows = {row.name: (row.wall_ns, row.time_pct) for row in made.summary.rows}
    assert rows == {"poll": (None, None), "getppid": (10_000, 100.0), "exit_group": (None, None)}
    assert made.summary.total.wall_ns == 10_000
    assert [(process.pid, process.wall_ns) for process in made.processes] == [(70, None), (71, 10_000)]
    same = diff_profile(made, "log")
    assert (same.total.wall_ns, same.syscalls["poll"].wall_ns) == (10_000, 0)


@pytest.mark.parametrize("ending", ["<detached ...>", "<unfinished ...>"])
def test_a_restarted_call_that_does_not_return_is_in_flight(tmp_path: Path, ending: str) -> None:
    text = lines(
        f"poll([{{fd=5, events=POLLIN}}], 1, -1) {BLOCK} <1.000000>", *STOP, f"{AGAIN.format('poll')} {ending}"
    )
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.name, row.calls, row.in_flight, row.wall_ns) == ("poll", 1, 1, 1_000_000_000)


def test_the_error_of_a_restart_is_that_of_its_call(tmp_path: Path) -> None:
    text = lines(
        f"futex(0x7f00, FUTEX_WAIT_PRIVATE, 0, {{tv_sec=1, tv_nsec=0}}) {BLOCK} <0.400000>",
        *STOP,
        f"{AGAIN.format('futex')} = -1 ETIMEDOUT (Connection timed out) <0.600000>",
    )
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.name, row.calls, row.errno, row.max_ns) == ("futex", 1, {"ETIMEDOUT": 1}, 1_000_000_000)


def test_a_reader_that_children_interrupt_over_and_over(tmp_path: Path) -> None:
    """Each second half is interrupted, and nothing handles the signal: hundreds deep, as with a shell's wait."""
    turns: list[str] = []
    for _ in range(150):
        turns += [
            "read(4,  <unfinished ...>",
            "<... read resumed>0x1, 4) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.000100>",
            "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=9, si_uid=0, si_status=0} ---",
        ]
    text = lines(*turns, 'read(4, "x", 4) = 1 <0.000100>', "+++ exited with 0 +++")
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.calls, row.restarts, row.errors, row.in_flight) == (1, 150, 0, 0)


def test_without_a_second_entry_the_call_waits(tmp_path: Path) -> None:
    text = lines("wait4(-1, 0x1, 0, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set) <0.100000>", STOP[0])
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.calls, row.in_flight, row.errors) == (1, 1, 0)
    text += lines("wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 9 <0.100000>")
    (row,) = report_of(tmp_path, text).summary.rows
    assert (row.calls, row.restarts, row.in_flight) == (1, 1, 0)
