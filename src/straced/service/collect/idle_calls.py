"""Which slow calls are rest: a thread that waits there for work, for whoever has work to give."""

from __future__ import annotations

import time
from collections.abc import Callable

from straced.linux import procfs
from straced.model.slow import SlowSyscall

TAKING_IN = frozenset(
    {"read", "readv", "pread64", "preadv", "preadv2", "recv", "recvfrom", "recvmsg", "recvmmsg", "splice", "tee"}
    | {"vmsplice", "sendfile", "ioctl"}
)
"""Calls by which a thread may wait for what somebody else will do."""
OFFERS = frozenset({"pipe", "terminal", "anonymous", "accepted", "pair"})
"""Kinds of files from which work comes: who reads there is at rest until some does."""
REST_SHARE = 0.5
"""Of a thread's time."""
MOST_PLACES = 10_000
_TICKS_NS = 10**7


class IdlePlaces:
    """Learns where threads rest.

    Args:
        start_of: when a thread began, by CLOCK_MONOTONIC; ``None`` where that is not known any more.
    """

    def __init__(self, start_of: Callable[[int, int], int | None] | None = None) -> None:
        self._start_of = start_of or started_ns
        self._spent: dict[tuple[int, str, str], int] = {}

    def rests(self, call: SlowSyscall, since_ns: int) -> bool:
        """Whether a call is rest. One that is inside is taken for rest as long as it may be.

        Args:
            call: over the limit.
            since_ns: since when its process is watched, by the clock of ``call.start_ns``.
        """
        if call.name not in TAKING_IN or call.kind in ("file", "directory"):
            return False
        if call.kind in OFFERS or call.inside:
            return True
        place = call.tid, call.name, call.about
        spent = self._spent.pop(place, 0) + call.duration_ns
        self._spent[place] = spent  # the newest last
        if len(self._spent) > MOST_PLACES:
            del self._spent[next(iter(self._spent))]
        begun_ns = self._start_of(call.pid, call.tid)
        lived_ns = call.start_ns + call.duration_ns - max(since_ns, begun_ns or 0)
        return spent >= REST_SHARE * lived_ns


def started_ns(pid: int, tid: int) -> int | None:
    """When a thread began, by CLOCK_MONOTONIC; ``None`` where it is gone."""
    try:
        fields = procfs.read_small(f"{pid}/task/{tid}/stat").rpartition(b")")[2].split()
        asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        return int(fields[19]) * _TICKS_NS - asleep_ns
    except (procfs.Gone, OSError, IndexError, ValueError):
        return None
