"""Loops that get nowhere, from a tracer's counts: calls that fail at once, polls of which nothing is taken, yields."""

from __future__ import annotations

from collections.abc import Sequence

from straced.model.types import SyscallStats
from straced.text.units import format_count
from straced.waits.classify import syscall_args
from straced.waits.model import Storm

MANY_PER_SECOND = 1000
_MOST = 0.5
_HARDLY_ANY = 0.1
_AT_ONCE_NS = 50_000
_IN_VAIN = frozenset(
    ["EAGAIN", "EBADF", "EBUSY", "ECHILD", "ECONNREFUSED", "EFAULT", "EINVAL", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC"]
) | frozenset(["ENOTCONN", "ENOTSOCK", "EPIPE", "ESRCH"])
"""Errors that the same call gets again, until somebody else does something; a search's ENOENT is an answer."""
_TAKES = (
    syscall_args.READS
    | syscall_args.WRITES
    | frozenset(syscall_args.MOVES)
    | {"accept", "accept4", "connect", "io_uring_enter", "waitid", "wait4"}
)
"""What one does about a descriptor that a poll says is ready."""


def together(rows: Sequence[SyscallStats], seconds: float) -> tuple[Storm | None, ...]:
    """Those that only all calls together show."""
    return _polls(rows, seconds), _yields(rows, seconds)


def in_vain(row: SyscallStats, seconds: float) -> Storm | None:
    """One call that fails again and again, with an error that the same call will get again."""
    if not row.errno:
        return None
    code, failed = max(row.errno.items(), key=lambda each: each[1])
    if code not in _IN_VAIN or failed / seconds < MANY_PER_SECOND or failed < (row.calls or 0) * _MOST:
        return None
    text = f"{_rate(failed, seconds)} {row.name} calls a second fail with {code}"
    return Storm(kind=f"spin_{code.lower()}", per_second=round(failed / seconds, 1), text=text)


def _polls(rows: Sequence[SyscallStats], seconds: float) -> Storm | None:
    """A poll that returns at once, again and again, of which nothing is taken: an end of file or an error unheeded."""
    polls = [row for row in rows if row.name in syscall_args.POLLS]
    calls = sum(row.calls or 0 for row in polls)
    taken = sum((row.calls or 0) - (row.errors or 0) for row in rows if row.name in _TAKES)
    if calls / seconds < MANY_PER_SECOND or taken > calls * _HARDLY_ANY:
        return None
    if sum(row.wall_ns or 0 for row in polls) > calls * _AT_ONCE_NS:
        return None
    name = max(polls, key=lambda row: row.calls or 0).name
    text = f"{_rate(calls, seconds)} {name} calls a second return at once, and nothing is read or written"
    return Storm(kind="spin_poll", per_second=round(calls / seconds, 1), text=text)


def _yields(rows: Sequence[SyscallStats], seconds: float) -> Storm | None:
    """Waiting by asking the scheduler for anybody else."""
    total = sum(row.calls or 0 for row in rows)
    calls = sum(row.calls or 0 for row in rows if row.name == "sched_yield")
    if calls / seconds < MANY_PER_SECOND or calls < total * _MOST:
        return None
    text = f"{_rate(calls, seconds)} sched_yield calls a second: it waits without sleeping"
    return Storm(kind="spin_yield", per_second=round(calls / seconds, 1), text=text)


def _rate(number: int, seconds: float) -> str:
    return format_count(round(number / seconds))
