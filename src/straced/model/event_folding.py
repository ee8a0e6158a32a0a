"""Comings and goings of processes, and slow calls, as a line each program: a build has thousands."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from straced.model.history import KeptEvent

COMINGS = ("started", "found", "ended", "unwatched")
"""Kinds of events that are folded."""
SLOW_CALL = "slow_call"
APART_S = 300.0
"""After so long without one a program begins a new line."""


class EventLine(Struct, frozen=True, kw_only=True):
    """One event, or the comings and goings of the processes of one name, or their slow calls of one name."""

    last: KeptEvent
    """The event itself, or the newest of them."""
    since: float
    """When the first of them happened."""
    counts: dict[str, int]
    """How many, by kind."""
    longest: KeptEvent | None = None
    """Of slow calls: the one that took longest."""
    failed: int = 0
    """Of those that ended: with a status other than 0, or by a signal."""

    @property
    def is_folded(self) -> bool:
        """Whether it stands for several events."""
        return sum(self.counts.values()) > 1


def folded(events: Iterable[KeptEvent], *, slow: bool = True) -> list[EventLine]:
    """A line an event, and one for all comings and goings, and for all slow calls of a kind, of a name in a job.

    Args:
        events: oldest first; the newest is the last of the lines, too.
        slow: fold slow calls, too.
    """
    closed: list[EventLine] = []
    going: dict[tuple[str, ...], EventLine] = {}
    told: set[tuple[object, object]] = set()
    for event in events:
        is_slow = slow and event.kind == SLOW_CALL
        if event.kind not in COMINGS and not is_slow:
            closed.append(EventLine(last=event, since=event.time, counts={event.kind: 1}))
            continue
        key = event.host, event.comm, event.job, str(event.data.get("call")) if is_slow else ""
        known = going.pop(key, None)
        if known is not None and event.time - known.last.time > APART_S:
            closed.append(known)
            known = None
        if is_slow:
            call = event.data.get("tid"), event.data.get("start_ns")  # told while it lasts, and again at its end
            going[key] = _slower(known, event, again=call in told)
            told.add(call)
        else:
            going[key] = _with(known, event)
    return sorted([*closed, *going.values()], key=lambda line: (line.last.time, line.last.id))


def _slower(line: EventLine | None, event: KeptEvent, *, again: bool) -> EventLine:
    if line is None or line.longest is None:
        return EventLine(last=event, since=event.time, counts={SLOW_CALL: 1}, longest=event)
    longest = max(event, line.longest, key=duration_ns)
    counts = {SLOW_CALL: line.counts[SLOW_CALL] + (not again)}
    return EventLine(last=event, since=line.since, counts=counts, longest=longest)


def duration_ns(event: KeptEvent) -> int:
    """How long the call took of which an event tells; 0 of another one."""
    found = event.data.get("duration_ns")
    return found if isinstance(found, int) else 0


def _with(line: EventLine | None, event: KeptEvent) -> EventLine:
    status = event.data.get("exit_status")
    failed = int(event.kind == "ended" and isinstance(status, int) and status != 0)
    if line is None:
        return EventLine(last=event, since=event.time, counts={event.kind: 1}, failed=failed)
    counts = {**line.counts, event.kind: line.counts.get(event.kind, 0) + 1}
    return EventLine(last=event, since=line.since, counts=counts, failed=line.failed + failed)
