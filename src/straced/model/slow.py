"""Calls that took longer than a limit, with what they were about."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

MOST_KEPT = 1000
"""Of one session, the longest."""


class SlowSyscall(Struct, frozen=True, kw_only=True):
    """One call over the limit."""

    name: str
    """The name of the call."""
    abi: str
    """The ABI it was entered by, as in :class:`straced.SyscallStats`."""
    pid: int
    """The process."""
    tid: int
    """The thread that made it."""
    comm: str
    """The name of the thread, at most 15 bytes."""
    epoch_s: float
    """When it was entered, in seconds since the epoch."""
    start_ns: int
    """The same by CLOCK_MONOTONIC; with ``tid`` it tells one call from another."""
    duration_ns: int
    """From enter to exit, or until it was looked at."""
    waiting_ns: int | None = None
    """The part of it in which the thread was off the CPU; ``None`` where that is not known."""
    inside: bool = False
    """It had not returned when it was looked at, or never will."""
    result: int | None = None
    """What it returned; ``None`` while it is inside."""
    errno: str | None = None
    """The name of the errno that it failed with."""
    path: str | None = None
    """The file it was about; ``None`` where it was about none, or where that could not be found out."""
    peer: str | None = None
    """The other end of the socket it was about, or the socket's own address: ``tcp 10.0.0.7:5432``, ``unix /run/x``."""
    kind: str = ""
    """What that is: ``file``, ``directory``, ``device``, ``terminal``, ``pipe``, ``socket``, ``accepted`` (a connection
    that was), ``pair`` (a socket without a name), ``anonymous`` (an eventfd, a timerfd, ...); empty: unknown."""
    call: str = ""
    """The call with its arguments, as strace writes it: ``fsync(4</var/lib/db/wal>)``."""

    @property
    def about(self) -> str:
        """File or peer in a word; empty where neither is known."""
        return self.path or self.peer or ""


class SlowCalls(Struct, frozen=True, kw_only=True):
    """The calls over the limit of one session; those ``untold`` and ``lost`` were seen, too."""

    limit_ns: int
    """Longer than this is slow."""
    seen: int = 0
    """Calls that returned, or ended, over the limit."""
    waits: int = 0
    """Calls over the limit that are made to wait (``epoll_wait``, ``futex``, ...), and were left out."""
    untold: int = 0
    """Of ``seen``: more than the kernel was to tell a second."""
    lost: int = 0
    """Of ``seen``: those that found no room on the way."""
    calls: tuple[SlowSyscall, ...] = ()
    """The longest first; those that are inside still among them. At most 1,000."""


def longest(calls: Iterable[SlowSyscall], most: int = MOST_KEPT) -> tuple[SlowSyscall, ...]:
    """The longest calls, the longest first."""
    return tuple(sorted(calls, key=lambda call: (-call.duration_ns, call.start_ns))[:most])


def since(earlier: SlowCalls | None, moment_ns: int, later: SlowCalls | None) -> SlowCalls | None:
    """What there is in ``later`` that was not in an earlier state of the same session.

    Args:
        earlier: the state at that moment.
        moment_ns: by CLOCK_MONOTONIC.
        later: the state now.
    """
    if earlier is None or later is None:
        return later
    calls = tuple(call for call in later.calls if call.inside or call.start_ns + call.duration_ns > moment_ns)
    counts = {name: getattr(later, name) - getattr(earlier, name) for name in ("seen", "waits", "untold", "lost")}
    return replace(later, calls=calls, **counts)


def without(slow: SlowCalls | None, hidden: Collection[int]) -> SlowCalls | None:
    """The same without the calls of some processes, which are not to be known of."""
    if slow is None:
        return None
    return replace(slow, calls=tuple(call for call in slow.calls if call.pid not in hidden))


def together(parts: Iterable[SlowCalls | None]) -> SlowCalls | None:
    """Those of several stretches of one session; ``None`` where none of them told any."""
    known = [part for part in parts if part is not None]
    if len(known) < 2:
        return known[0] if known else None
    counts = {name: sum(getattr(part, name) for part in known) for name in ("seen", "waits", "untold", "lost")}
    return SlowCalls(
        limit_ns=known[-1].limit_ns, calls=longest(call for part in known for call in part.calls), **counts
    )
