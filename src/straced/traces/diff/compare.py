"""What differs between two sides, ordered by what matters.

Counts come first: they repeat from run to run, and a change in them is a change in what the program does. Time counts
where it changed by much for each call, or where several runs agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import sqrt

from msgspec import Struct

from straced.syscalls import category
from straced.traces.diff.profile import Profile, ProfileFigures
from straced.traces.diff.significance import apart, p_value
from straced.traces.diff.times import Typical, pace, time_score, typical
from straced.traces.diff.values import Change, Difference, Metric

STEADY = 1.5
"""A pace within this is not worth a note."""


def compare(before: Sequence[Profile], after: Sequence[Profile]) -> Difference:
    """Compare two sides of one or more runs each."""
    total = _change("total", "total", [p.total for p in before], [p.total for p in after], _Scale(1, 1, 1))
    scale = _Scale(
        max(total.calls.before or 0, total.calls.after or 0, 1),
        max(total.wall_ns.before or 0, total.wall_ns.after or 0, 1),
        pace(before, after),
    )
    changes = [
        *_each("syscall", before, after, lambda p: p.syscalls, scale),
        *_each("errno", before, after, _errno_rows, scale),
    ]
    if all(profile.paths is not None for profile in (*before, *after)):
        changes += _each("path", before, after, lambda p: p.paths or {}, scale)
    differing = [change for change in changes if change.score > 0]
    differing.sort(key=lambda change: (-change.score, change.kind, change.name))
    return Difference(
        before=tuple(profile.source for profile in before),
        after=tuple(profile.source for profile in after),
        notes=tuple(_notes(before, after, scale.pace)),
        total=total,
        changes=tuple(differing),
        same=len(changes) - len(differing),
    )


def _errno_rows(profile: Profile) -> dict[str, ProfileFigures]:
    return {
        f"{name} {errno}": ProfileFigures(calls=count, errors=count) for (name, errno), count in profile.errnos.items()
    }


def _notes(before: Sequence[Profile], after: Sequence[Profile], pace: float) -> Iterable[str]:
    for profile in (*before, *after):
        if profile.quality != "exact":
            yield f"{profile.source} is {profile.quality}, so a difference may be one of recording"
        yield from (f"{profile.source}: {text}" for text in profile.damage)
    if any(profile.total.wall_ns is None for profile in (*before, *after)):
        yield "times are not compared: not every recording has them"
    if {profile.kind for profile in before} != {profile.kind for profile in after}:
        yield "the two sides were recorded in different ways"
    if max(pace, 1 / pace) >= STEADY:
        shown = f"{pace:.1f}" if pace >= 0.1 else "less than 0.1"
        yield f"calls of all kinds took {shown} times as long after as before; times are judged beside that"


class _Scale(Struct, frozen=True):
    calls: float
    wall_ns: float
    pace: float


def _each(
    kind: str,
    before: Sequence[Profile],
    after: Sequence[Profile],
    rows: Callable[[Profile], dict[str, ProfileFigures]],
    scale: _Scale,
) -> list[Change]:
    tables = [rows(profile) for profile in before], [rows(profile) for profile in after]
    names = {name for side in tables for table in side for name in table}
    absent = ProfileFigures(calls=0, errors=0, wall_ns=0, waiting_ns=0)
    return [
        _change(kind, name, [t.get(name, absent) for t in tables[0]], [t.get(name, absent) for t in tables[1]], scale)
        for name in sorted(names)
    ]


def _metric(before: Sequence[int | None], after: Sequence[int | None]) -> Metric:
    old = [value for value in before if value is not None]
    new = [value for value in after if value is not None]
    if len(old) < len(before) or len(new) < len(after):
        return Metric(None, None)
    sure = len(old) < 2 or len(new) < 2 or apart(old, new)
    return Metric(sum(old) / len(old), sum(new) / len(new), p_value(old, new), sure)


def _change(
    kind: str, name: str, before: Sequence[ProfileFigures], after: Sequence[ProfileFigures], scale: _Scale
) -> Change:
    calls, errors, wall, waiting = (
        _metric([getattr(row, field) for row in before], [getattr(row, field) for row in after])
        for field in ("calls", "errors", "wall_ns", "waiting_ns")
    )
    note = "new" if calls.before == 0 and calls.after else "gone" if calls.after == 0 and calls.before else ""
    return Change(
        kind=kind,
        name=name,
        note=note,
        calls=calls,
        errors=errors,
        wall_ns=wall,
        waiting_ns=waiting,
        score=_score(kind, name, note, calls, errors, wall, typical(before, after), scale),
    )


_WEIGHT = {"syscall": 1.0, "errno": 0.9, "path": 0.6, "total": 0.0}


def _score(
    kind: str, name: str, note: str, calls: Metric, errors: Metric, wall: Metric, middle: Typical, scale: _Scale
) -> float:
    score = _count_score(calls, scale.calls)
    if note:
        score *= 2 if note == "new" else 1.5
    if kind == "errno" and note == "new":
        score *= 2
    if kind == "path" and errors.before == 0 and errors.after:
        score *= 3  # something that was not missed before
    waiting = kind == "syscall" and category(name) == "wait"
    timed = time_score(note, calls, wall, middle, scale=scale.wall_ns, pace=scale.pace)
    return _WEIGHT[kind] * (score + (0.15 if waiting else 0.5) * timed)


def _count_score(metric: Metric, scale: float) -> float:
    """The square root of the share of all calls, times how much of the row changed."""
    delta = metric.delta
    if not delta or metric.before is None or metric.after is None:
        return 0.0
    novelty = min(1.0, abs(delta) / max(min(metric.before, metric.after), 1.0))
    doubt = 1.0 if metric.apart else 0.05
    return doubt * novelty * sqrt(abs(delta) / scale)
