"""Budgets of system calls: how many of which may be made, and what of that was broken.

A limit is named by a key: a call (``openat``), ``total``, ``errors``, an errno (``ENOENT``), or an errno of one call
(``openat.ENOENT``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from straced.errors import InvalidArgument
from straced.model.types import Counters, Summary, SyscallStats
from straced.syscalls import ABIS, names, number_of
from straced.text.units import count_of

TOTAL, ERRORS = "total", "errors"
HINT = "write it as fsync=0, total=100000, errors=10, ENOENT=20 or openat.ENOENT=5"
ACCIDENTAL = frozenset(
    {"brk", "clock_gettime", "futex", "getcpu", "gettimeofday", "madvise", "mmap", "mprotect", "mremap", "munmap",
     "restart_syscall", "sched_yield", "time"}
)  # fmt: skip
"""Calls whose number says how memory, locks and clocks were at that moment: none of them is new, or recorded."""
HARMLESS = frozenset(
    {"no_exit", "no_unknown", "restarts_as_errors", "in_flight_at_attach", "interrupted", "clock", "cpu_time",
     "programs_skipped"}
)  # fmt: skip
"""Reasons for which a summary is ``partial`` that leave no call out, or none but what ``strace -c`` never counts."""
_LIMIT = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Z]\w*)?)\s*=\s*(\d{1,18})\s*")
_ERRNO = re.compile(r"E[A-Z0-9]+")


class CallCounts(Struct, frozen=True):
    """Calls by name, and errors by call and errno."""

    calls: Mapping[str, int] = {}
    errors: Mapping[tuple[str, str], int] = {}

    def made(self, key: str) -> int:
        """How much there is of what a key of a limit names."""
        if key == TOTAL:
            return sum(self.calls.values())
        if key == ERRORS:
            return sum(self.errors.values())
        name, dot, errno = key.partition(".")
        if dot:
            return self.errors.get((name, errno), 0)
        if _ERRNO.fullmatch(key):
            return sum(count for (_, errno), count in self.errors.items() if errno == key)
        return self.calls.get(key, 0)

    def by_errno(self) -> dict[str, int]:
        """Errors by the name of their errno."""
        found: dict[str, int] = {}
        for (_, errno), count in self.errors.items():
            found[errno] = found.get(errno, 0) + count
        return found

    def plus(self, other: CallCounts, factor: int = 1) -> CallCounts:
        """The sum of two; with a factor of -1, what one has more than the other. What comes to nothing falls out."""
        calls, errors = dict(self.calls), dict(self.errors)
        for name, count in other.calls.items():
            calls[name] = calls.get(name, 0) + factor * count
        for key, count in other.errors.items():
            errors[key] = errors.get(key, 0) + factor * count
        return CallCounts(
            {name: count for name, count in calls.items() if count},
            {key: count for key, count in errors.items() if count},
        )


class Breach(Struct, frozen=True):
    """A limit that was broken."""

    key: str
    limit: int
    made: int

    @property
    def over(self) -> int:
        """How much was made more than the limit."""
        return self.made - self.limit


class BudgetVerdict(Struct, frozen=True, kw_only=True):
    """What became of a budget. It was kept only where ``doubt`` is empty, too."""

    counts: CallCounts
    breaches: tuple[Breach, ...] = ()
    doubt: str = ""
    """Why limits that look kept may be broken; ``""``: they are kept."""


def parse_limits(texts: Iterable[str]) -> dict[str, int]:
    """``("fsync=0", "total=1000")`` -> limits by key.

    Raises:
        InvalidArgument: one that cannot be read, or no call or errno has that name.
    """
    limits: dict[str, int] = {}
    for text in texts:
        match = _LIMIT.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"a budget cannot be read: {text!r}", hint=HINT)
        limits[checked_key(match.group(1))] = int(match.group(2))
    return limits


def checked_key(key: str) -> str:
    """The key itself.

    Raises:
        InvalidArgument: it names nothing that can be counted.
    """
    name, _, errno = key.partition(".")
    if errno and not _is_errno(errno):
        raise InvalidArgument(f"no error is called {errno!r}", hint=HINT)
    if name in (TOTAL, ERRORS) and not errno:
        return key
    if _is_call(name) or (not errno and _is_errno(name)):
        return key
    known = {each for abi in ABIS for each in names(abi).values()}
    close = difflib.get_close_matches(name, known, 2)
    raise InvalidArgument(f"no system call is called {name!r}", hint=f"perhaps {' or '.join(close)}" if close else HINT)


def _is_call(name: str) -> bool:
    return name.startswith("syscall_0x") or any(number_of(name, abi) is not None for abi in ABIS)


def _is_errno(name: str) -> bool:
    import errno

    return name in errno.errorcode.values() or bool(re.fullmatch(r"ERRNO_\d+", name))


def counts_of(rows: Iterable[Counters | SyscallStats]) -> CallCounts:
    """The counts in rows, those of one name together. A row without counts adds nothing: see :func:`doubt_about`."""
    calls: dict[str, int] = {}
    errors: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.calls:
            calls[row.name] = calls.get(row.name, 0) + row.calls
        for errno, count in (row.errno or {}).items():
            errors[row.name, errno] = errors.get((row.name, errno), 0) + count
    return CallCounts(calls, errors)


def breaches(limits: Mapping[str, int], counts: CallCounts) -> tuple[Breach, ...]:
    """The limits that were broken, in the order in which they were given."""
    return tuple(Breach(key, limit, made) for key, limit in limits.items() if (made := counts.made(key)) > limit)


def judge(limits: Mapping[str, int], summary: Summary) -> BudgetVerdict:
    """Hold a summary against limits. What is made beyond a limit breaks it, however little else is known."""
    counts = counts_of(summary.rows)
    return BudgetVerdict(counts=counts, breaches=breaches(limits, counts), doubt=doubt_about(summary))


def doubt_about(summary: Summary) -> str:
    """Why more may have been called than was counted; ``""`` where that is not so."""
    quality = summary.quality
    if (summary.total.calls is None and summary.rows) or quality.kind == "sampled":
        return "calls were not counted"
    if quality.kind == "lossy" or quality.lost:
        return "calls were lost" if quality.lost is None else count_of(quality.lost, "call was lost", "calls were lost")
    reasons = [reason.text for reason in quality.reasons if reason.code not in HARMLESS]
    return reasons[0] if quality.kind != "exact" and reasons else ""
