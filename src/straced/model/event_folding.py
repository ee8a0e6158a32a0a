"""Comings and goings of processes as a line each program, among what else happened: a build starts thousands."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from straced.model.history import KeptEvent

COMINGS = ("started", "found", "ended", "unwatched")
"""Kinds of events that are folded."""
APART_S = 300.0
"""After so long without one a program begins a new line."""


class EventLine(Struct, frozen=True, kw_only=True):
    """One event, or the comings and goings of the processes of one name."""

    last: KeptEvent
    """The event itself, or the newest of them."""
    since: float
    """When the first of them happened."""
    counts: dict[str, int]
    """How many, by kind."""
    failed: int = 0
    """Of those that ended: with a status other than 0, or by a signal."""

    @property
    def is_folded(self) -> bool:
        """Whether it stands for several events."""
        return sum(self.counts.values()) > 1


def folded(events: Iterable[KeptEvent]) -> list[EventLine]:
    """A line an event, and one for all comings and goings of a name in a job; the newest last.

    Args:
        events: oldest first.
    """
    closed: list[EventLine] = []
    going: dict[tuple[str, str, str], EventLine] = {}
    for event in events:
        if event.kind not in COMINGS:
            closed.append(EventLine(last=event, since=event.time, counts={event.kind: 1}))
            continue
        key = event.host, event.comm, event.job
        known = going.pop(key, None)
        if known is not None and event.time - known.last.time > APART_S:
            closed.append(known)
            known = None
        going[key] = _with(known, event)
    return sorted([*closed, *going.values()], key=lambda line: (line.last.time, line.last.id))


def _with(line: EventLine | None, event: KeptEvent) -> EventLine:
    status = event.data.get("exit_status")
    failed = int(event.kind == "ended" and isinstance(status, int) and status != 0)
    if line is None:
        return EventLine(last=event, since=event.time, counts={event.kind: 1}, failed=failed)
    counts = {**line.counts, event.kind: line.counts.get(event.kind, 0) + 1}
    return EventLine(last=event, since=line.since, counts=counts, failed=line.failed + failed)
