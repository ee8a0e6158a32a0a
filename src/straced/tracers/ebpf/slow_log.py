"""The calls over the limit of one session: the longest of them, and those that are inside."""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Callable, Iterable

from straced.model.slow import MOST_KEPT, SlowCalls, SlowSyscall, longest
from straced.tracers.ebpf.detail_wire import WireSlowLimit
from straced.tracers.event_stream import SlowCallStream


class SlowLog:
    """Keeps what a session has to tell, and passes it on.

    Args:
        limit_ns: what is slow.
        most: so many are kept.
    """

    def __init__(self, limit_ns: int, most: int = MOST_KEPT) -> None:
        self.limit_ns = limit_ns
        self._most = most
        self._hearers: list[Callable[[SlowSyscall], None]] = []
        self._order = itertools.count()
        self._kept: list[tuple[int, int, SlowSyscall]] = []
        self._inside: dict[int, SlowSyscall] = {}
        """By thread: it is in one call at a time."""
        self._streams: weakref.WeakSet[SlowCallStream] = weakref.WeakSet()
        self.dropped = 0
        """Calls that a listener was too slow for."""

    def add(self, call: SlowSyscall) -> None:
        """A call has returned, or ended with its thread."""
        self._inside.pop(call.tid, None)
        entry = call.duration_ns, next(self._order), call
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, entry)
        elif self._most:
            heapq.heappushpop(self._kept, entry)
        self._tell(call)

    def inside(self, calls: Iterable[SlowSyscall]) -> None:
        """These are all that are inside now."""
        before, self._inside = self._inside, {call.tid: call for call in calls}
        for call in self._inside.values():
            known = before.get(call.tid)
            if known is None or known.start_ns != call.start_ns:
                self._tell(call)

    def known(self, tid: int, start_ns: int) -> SlowSyscall | None:
        """What was found out of a call that was inside before."""
        found = self._inside.get(tid)
        return found if found is not None and found.start_ns == start_ns else None

    def state(self, counts: WireSlowLimit) -> SlowCalls:
        """All so far.

        Args:
            counts: as the kernel has them.
        """
        most = max(self._most, len(self._inside))
        return SlowCalls(
            limit_ns=self.limit_ns,
            seen=counts.seen,
            waits=counts.waits,
            untold=counts.untold,
            lost=counts.lost,
            calls=longest([*(call for _, _, call in self._kept), *self._inside.values()], most),
        )

    def listen(self, closed: Callable[[], None] | None = None) -> SlowCallStream:
        """Calls from now on, until the session is over."""
        stream = SlowCallStream(closed)
        self._streams.add(stream)
        return stream

    def hear(self, hearer: Callable[[SlowSyscall], None]) -> None:
        """Call somebody with each call from now on."""
        self._hearers.append(hearer)

    def end(self) -> None:
        """Nothing more will come."""
        for stream in self._streams:
            stream.end()
        self._streams.clear()
        self._hearers.clear()

    def _tell(self, call: SlowSyscall) -> None:
        for hear in self._hearers:
            hear(call)
        for stream in self._streams:
            if not stream.is_over and not stream.put(call):
                self.dropped += 1
