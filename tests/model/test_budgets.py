"""Budgets: reading limits, holding counts against them, and when a verdict cannot be had.

Of `model/budgets.py`.
"""

from __future__ import annotations

import pytest

from straced.errors import InvalidArgument
from straced.model.budgets import Breach, CallCounts, breaches, counts_of, judge, parse_limits
from straced.model.types import Quality, Reason, Summary, SyscallStats, Target, Total, Window

ROWS = (
    SyscallStats(name="openat", calls=40, errors=5, errno={"ENOENT": 4, "EACCES": 1}),
    SyscallStats(name="read", calls=10, errors=1, errno={"ENOENT": 1}),
    SyscallStats(name="read", abi="i386", calls=2, errors=0, errno={}),
)


def summary(quality: Quality, rows: tuple[SyscallStats, ...] = ROWS) -> Summary:
    calls = None if rows and rows[0].calls is None else sum(row.calls or 0 for row in rows)
    return Summary(
        target=Target(pid=1, start_ticks=1, boot_id=""),
        tracer="ebpf",
        quality=quality,
        window=Window(start=0, end=1, duration_ns=10**9),
        rows=rows,
        total=Total(calls=calls),
    )


def test_limits_by_call_total_errors_and_errno() -> None:
    limits = parse_limits(
        ["openat=39", "total=51", "errors=5", "ENOENT=4", "openat.EACCES=1", " fsync = 0 ", "read=12"]
    )
    assert breaches(limits, counts_of(ROWS)) == (
        Breach("openat", 39, 40), Breach("total", 51, 52), Breach("errors", 5, 6), Breach("ENOENT", 4, 5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("fsnc=0", "perhaps fsync"), ("openat", "write it as"), ("openat=-1", "write it as"), ("read=1.5", "write it"),
        ("=3", "write it as"), ("ENOWHERE=1", "write it as"), ("read.ENOWHERE=1", "write"), ("total.ENOENT=1", ""),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_read(text: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_limits([text])
    assert hint in refused.value.hint


def test_a_sum_and_a_difference() -> None:
    one = CallCounts({"read": 3, "write": 1}, {("read", "EINTR"): 2})
    assert one.plus(one, -1) == CallCounts()
    assert one.plus(CallCounts({"read": 1}, {("read", "EINTR"): 1})).made("EINTR") == 3


@pytest.mark.parametrize(
    ("quality", "doubt"),
    [
        (Quality(kind="exact"), ""),
        (Quality(kind="partial", reasons=(Reason("no_exit", "x"), Reason("interrupted", "y"))), ""),
        (Quality(kind="partial", reasons=(Reason("no_exit", "x"), Reason("late", "began late"))), "began late"),
        (Quality(kind="lossy", lost=3), "3 calls were lost"),
        (Quality(kind="lossy", lost=None), "calls were lost"),
        (Quality(kind="sampled", lost=None), "calls were not counted"),
    ],
)
def test_a_limit_that_looks_kept_is_doubted_where_calls_may_be_missing(quality: Quality, doubt: str) -> None:
    verdict = judge({"read": 12, "openat": 39}, summary(quality))
    assert verdict.doubt == doubt
    assert [each.key for each in verdict.breaches] == ["openat"], "what was seen beyond a limit breaks it all the same"


def test_unknown_is_not_zero() -> None:
    assert judge({"read": 0}, summary(Quality(kind="partial"), (SyscallStats(name="read"),))).doubt
