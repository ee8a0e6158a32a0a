"""Slow calls as events carry them, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from straced.model.history import KeptEvent
from straced.model.slow import SlowCalls, SlowSyscall

KINDS = ("slow_call", "slow_calls")
"""Of events: a call, and how many there were besides those that were told."""
Value = TypeVar("Value")


def call_of(event: KeptEvent) -> SlowSyscall | None:
    """The call that an event tells; ``None`` of an event that tells none, or not all that tells it from others."""
    data = event.data
    name, tid = _typed(data.get("call"), str), _typed(data.get("tid"), int)
    start_ns, duration_ns = _typed(data.get("start_ns"), int), _typed(data.get("duration_ns"), int)
    if (
        event.kind != KINDS[0]
        or not name
        or event.pid is None
        or tid is None
        or start_ns is None
        or duration_ns is None
    ):
        return None
    began = data.get("began")
    return SlowSyscall(
        name=name,
        abi="",
        pid=event.pid,
        tid=tid,
        comm=_typed(data.get("thread"), str) or event.comm,
        epoch_s=float(began) if isinstance(began, (int, float)) else event.time - duration_ns / 1e9,
        start_ns=start_ns,
        duration_ns=duration_ns,
        waiting_ns=_typed(data.get("waiting_ns"), int),
        inside=data.get("inside") is True,
        result=_typed(data.get("result"), int),
        errno=_typed(data.get("errno"), str),
        path=_typed(data.get("path"), str),
        peer=_typed(data.get("peer"), str),
        call=_typed(data.get("text"), str) or "",
    )


def newest(calls: Iterable[SlowSyscall], most: int) -> tuple[SlowSyscall, ...]:
    """The calls that began last, the last one first; each call once, as it was told last."""
    each_once = {(call.tid, call.start_ns): call for call in calls}
    return tuple(sorted(each_once.values(), key=lambda call: (-call.epoch_s, call.tid))[:most])


def of_events(events: Iterable[KeptEvent], limit_ns: int, most: int) -> SlowCalls:
    """The calls that events tell, the one that began last first.

    Args:
        events: oldest first.
        limit_ns: what is slow; 0: what was slow then is not known any more.
        most: so many calls.
    """
    events = tuple(events)
    found = [call for event in events if (call := call_of(event)) is not None]
    untold = sum(_typed(event.data.get("count"), int) or 0 for event in events if event.kind == KINDS[1])
    calls = newest(found, most)
    returned = sum(not call.inside for call in newest(found, len(found)))
    return SlowCalls(limit_ns=limit_ns, seen=returned + untold, untold=untold, calls=calls)


def _typed(value: object, kind: type[Value]) -> Value | None:
    return value if isinstance(value, kind) and not (kind is int and isinstance(value, bool)) else None
