"""Which lines of a trace are kept: by process, call, time and path."""

from __future__ import annotations

import difflib
import re

from msgspec import Struct

from straced.errors import InvalidArgument
from straced.syscalls import ABIS, names, number_of
from straced.text.sanitize import scrub

_CLOCK = re.compile(r"(?:(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?|(\d{5,12}(?:\.\d+)?)|\+(\d+(?:\.\d+)?)s?)")
_PRINTED = re.compile(rb"(?:(\d\d):(\d\d):(\d\d(?:\.\d{1,9})?)|(\d{1,12}(?:\.\d{1,9})?))")


class TraceSelection(Struct, frozen=True, kw_only=True):
    """The lines to keep. Descriptors and processes are followed through all lines in any case."""

    pids: frozenset[int] = frozenset()
    """Processes; all threads of one belong to it."""
    syscalls: frozenset[str] = frozenset()
    since: str | None = None
    """``12:30:01.5``, seconds since the epoch, or ``+12.5`` (seconds from the first line)."""
    until: str | None = None
    path: str | None = None
    """A glob, or a piece of the path."""

    def check(self) -> None:
        """Refuse what cannot match anything.

        Raises:
            InvalidArgument: a call of no ABI.
        """
        for name in sorted(self.syscalls):
            if not name.startswith("syscall_") and all(number_of(name, abi) is None for abi in ABIS):
                known = {each for abi in ABIS for each in names(abi).values()}
                close = difflib.get_close_matches(name, known, 3)
                raise InvalidArgument(
                    f"--syscall {scrub(name, 60)!r} is no system call",
                    hint=f"perhaps {' or '.join(close)}" if close else "names are as in the trace: openat, read, ...",
                )

    def __bool__(self) -> bool:
        return bool(self.pids or self.syscalls or self.since or self.until or self.path)


def clock_seconds(clock: bytes) -> float | None:
    """A clock as printed -> seconds (of the day, or since the epoch)."""
    match = _PRINTED.fullmatch(clock)
    if match is None:
        return None
    hours, minutes, seconds, epoch = match.groups()
    return float(epoch) if epoch is not None else int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def clock_ns(clock: bytes) -> int | None:
    """A clock as printed -> ns (of the day, or since the epoch), exactly."""
    match = _PRINTED.fullmatch(clock)
    if match is None:
        return None
    hours, minutes, seconds, epoch = match.groups()
    whole, _, fraction = (seconds if epoch is None else epoch).partition(b".")
    ns = int(whole) * 10**9 + int(fraction.ljust(9, b"0"))
    return ns if epoch is not None else ns + (int(hours) * 3600 + int(minutes) * 60) * 10**9


def bound(text: str | None, first: float | None, option: str) -> float | None:
    """A ``--since`` or ``--until`` in the trace's own clock.

    Raises:
        InvalidArgument: not a time.
    """
    if text is None:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"{option} {text!r} is no time", hint="write it as 12:30:01.5, 1790000000.5 or +12.5")
    hours, minutes, seconds, epoch, offset = match.groups()
    if hours is not None:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds or 0)
    if epoch is not None:
        return float(epoch)
    return (first or 0.0) + float(offset)
