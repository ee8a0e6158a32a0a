"""When a change in time says something about the program, and not about the machine that it ran on."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from straced.syscalls import category
from straced.traces.diff.profile import Profile, ProfileFigures
from straced.traces.diff.values import Metric

TIME_RATIO = 2.0
"""Time of each call: a smaller change between two single runs is taken for noise."""
TYPICAL_RATIO = 1.5
"""The median must change as well: a few long calls are what a busy machine makes of any program."""
SOME_CALLS = 0.1
"""What a change counts that only some calls made,"""
UNTOLD = 0.3
"""or perhaps only some: where there is no median."""
LEAST_SHARE = 0.02
FEW_CALLS, FEW_CALLS_NS = 10, 10**8
"""With so few calls, a change of less than this is noise too."""
PACE_CALLS = 5
"""How many calls must have a median on both sides before one speaks of a pace."""
SURE = 0.1


class Typical(Struct, frozen=True):
    """The median of a call on both sides, where both have one run, and one that holds it."""

    before: int | None = None
    after: int | None = None


def typical(before: Sequence[ProfileFigures], after: Sequence[ProfileFigures]) -> Typical:
    """The medians of one row."""
    if len(before) != 1 or len(after) != 1:
        return Typical()
    return Typical(before[0].typical_ns, after[0].typical_ns)


def pace(before: Sequence[Profile], after: Sequence[Profile]) -> float:
    """How many times as long calls take after, whatever they are: a busier machine, or a slower tracer.

    It is the middle of the ratios of the medians, each call name counting once, so that one slow call cannot make it.
    """
    if len(before) != 1 or len(after) != 1:
        return 1.0
    ratios = []
    for name, old in before[0].syscalls.items():
        new = after[0].syscalls.get(name)
        if new is None or min(old.calls or 0, new.calls or 0) < FEW_CALLS or category(name) == "wait":
            continue
        if old.typical_ns and new.typical_ns:
            ratios.append(new.typical_ns / old.typical_ns)
    return median(ratios) if len(ratios) >= PACE_CALLS else 1.0


def time_score(note: str, calls: Metric, wall: Metric, middle: Typical, *, scale: float, pace: float) -> float:
    """The share of all time that a row gained or lost, as far as it is the row's own doing."""
    delta = wall.delta
    if not delta or wall.before is None or wall.after is None:
        return 0.0
    share = abs(delta) / scale
    if note:
        return share
    if wall.p is not None:
        return share if wall.apart and wall.p <= SURE else 0.0
    if min(calls.before or 0, calls.after or 0) < FEW_CALLS and abs(delta) < FEW_CALLS_NS:
        return 0.0
    mean = _ratio(wall.before / (calls.before or 1) * pace, wall.after / (calls.after or 1))
    if mean < TIME_RATIO or share < LEAST_SHARE:
        return 0.0
    if middle.before is None or middle.after is None:
        return UNTOLD * share
    return share if _ratio(middle.before * pace, middle.after) >= TYPICAL_RATIO else SOME_CALLS * share


def _ratio(one: float, other: float) -> float:
    return max(one, other) / max(min(one, other), 1.0)
