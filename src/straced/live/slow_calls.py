"""The slow calls of the processes on the screen: the newest, and those that are inside still."""

from __future__ import annotations

from collections.abc import Iterable

from straced.model.history import KeptEvent
from straced.model.slow import SlowCalls, SlowSyscall
from straced.model.slow_events import KINDS, newest, of_events
from straced.service.collect.idle_calls import IdlePlaces

LIMIT_NS = 100_000_000
"""What is slow, as a service has it."""
A_SECOND = 50
"""Of one tree, the kernel tells so many."""
SHOWN = 100
_KEPT = 1000


class SlowCallList:
    """What sessions of this process tell; calls that are rest are left out.

    Args:
        limit_ns: what is slow.
    """

    def __init__(self, limit_ns: int = LIMIT_NS, idle: IdlePlaces | None = None) -> None:
        self.limit_ns = limit_ns
        self._idle = idle or IdlePlaces()
        self._calls: dict[tuple[int, int], SlowSyscall] = {}
        self._ended: list[SlowCalls] = []
        self._rested = 0

    def add(self, call: SlowSyscall, since_ns: int) -> None:
        """A session tells of a call.

        Args:
            call: one that has returned counts; of those that are inside the next sample has all.
            since_ns: since when its process is counted.
        """
        if call.inside:
            return
        if self._idle.rests(call, since_ns):
            self._rested += 1
            return
        self._calls[call.tid, call.start_ns] = call
        if len(self._calls) > _KEPT:
            del self._calls[next(iter(self._calls))]

    def end(self, counts: SlowCalls | None) -> None:
        """A session is over: its counts stay."""
        if counts is not None:
            self._ended = [_counts([*self._ended, counts], self.limit_ns)]

    def state(self, samples: Iterable[SlowCalls | None]) -> SlowCalls | None:
        """All that is known; ``None`` where nobody tells.

        Args:
            samples: of the sessions that are live.
        """
        told = [each for each in samples if each is not None]
        if not told and not self._ended:
            return None
        inside = [call for each in told for call in each.calls if call.inside and not self._idle.rests(call, 0)]
        counts = _counts([*self._ended, *told], self.limit_ns)
        return SlowCalls(
            limit_ns=self.limit_ns,
            seen=counts.seen - self._rested,
            waits=counts.waits + self._rested,
            untold=counts.untold,
            lost=counts.lost,
            calls=newest([*self._calls.values(), *inside], SHOWN),
        )


class SlowEventList:
    """What a service tells, event by event."""

    def __init__(self) -> None:
        self._events: dict[int, KeptEvent] = {}

    def add(self, events: Iterable[KeptEvent]) -> None:
        """Take in those that are about slow calls."""
        self._events |= {event.id: event for event in events if event.kind in KINDS}
        for number in sorted(self._events)[:-_KEPT]:
            del self._events[number]

    def state(self, limit_ns: int | None) -> SlowCalls | None:
        """All that is known; ``None`` where the service tells none."""
        if limit_ns is None:
            return None
        return of_events([self._events[number] for number in sorted(self._events)], limit_ns, SHOWN)


def _counts(parts: Iterable[SlowCalls], limit_ns: int) -> SlowCalls:
    parts = tuple(parts)
    return SlowCalls(
        limit_ns=limit_ns,
        **{name: sum(getattr(part, name) for part in parts) for name in ("seen", "waits", "untold", "lost")},
    )
