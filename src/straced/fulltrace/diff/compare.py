"""What differs between two sides, ordered by what matters.

Counts come first: they repeat from run to run, and a change in them is a change in what the program does. Time counts
where it changed by much for each call, or where several runs agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import sqrt

from msgspec import Struct

from straced.fulltrace.diff.profile import Figures, Profile
from straced.fulltrace.diff.significance import apart, p_value
from straced.fulltrace.diff.values import Change, Difference, Metric
from straced.syscalls import category

TIME_RATIO = 2.0
"""Time of each call: a smaller change between two single runs is taken for noise."""
FEW_CALLS, FEW_CALLS_NS = 10, 10**8
"""So is a change of less than this in the time of so few calls."""
SURE = 0.1


def compare(before: Sequence[Profile], after: Sequence[Profile]) -> Difference:
    """Compare two sides of one or more runs each."""
    total = _change("total", "total", [p.total for p in before], [p.total for p in after], _Scale(1, 1))
    scale = _Scale(
        max(total.calls.before or 0, total.calls.after or 0, 1),
        max(total.wall_ns.before or 0, total.wall_ns.after or 0, 1),
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
        notes=tuple(_notes(before, after)),
        total=total,
        changes=tuple(differing),
        same=len(changes) - len(differing),
    )


def _errno_rows(profile: Profile) -> dict[str, Figures]:
    return {f"{name} {errno}": Figures(calls=count, errors=count) for (name, errno), count in profile.errnos.items()}


def _notes(before: Sequence[Profile], after: Sequence[Profile]) -> Iterable[str]:
    for profile in (*before, *after):
        if profile.quality != "exact":
            yield f"{profile.source} is {profile.quality}, so a difference may be one of recording"
    if any(profile.total.wall_ns is None for profile in (*before, *after)):
        yield "times are not compared: not every recording has them"
    if {profile.kind for profile in before} != {profile.kind for profile in after}:
        yield "the two sides were recorded in different ways"


class _Scale(Struct, frozen=True):
    calls: float
    wall_ns: float


def _each(
    kind: str,
    before: Sequence[Profile],
    after: Sequence[Profile],
    rows: Callable[[Profile], dict[str, Figures]],
    scale: _Scale,
) -> list[Change]:
    tables = [rows(profile) for profile in before], [rows(profile) for profile in after]
    names = {name for side in tables for table in side for name in table}
    absent = Figures(calls=0, errors=0, wall_ns=0)
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


def _change(kind: str, name: str, before: Sequence[Figures], after: Sequence[Figures], scale: _Scale) -> Change:
    calls, errors, wall = (
        _metric([getattr(row, field) for row in before], [getattr(row, field) for row in after])
        for field in ("calls", "errors", "wall_ns")
    )
    note = "new" if calls.before == 0 and calls.after else "gone" if calls.after == 0 and calls.before else ""
    return Change(
        kind=kind,
        name=name,
        note=note,
        calls=calls,
        errors=errors,
        wall_ns=wall,
        score=_score(kind, name, note, calls, errors, wall, scale),
    )


_WEIGHT = {"syscall": 1.0, "errno": 0.9, "path": 0.6, "total": 0.0}


def _score(kind: str, name: str, note: str, calls: Metric, errors: Metric, wall: Metric, scale: _Scale) -> float:
    score = _count_score(calls, scale.calls)
    if note:
        score *= 2 if note == "new" else 1.5
    if kind == "errno" and note == "new":
        score *= 2
    if kind == "path" and errors.before == 0 and errors.after:
        score *= 3  # something that was not missed before
    waiting = kind == "syscall" and category(name) == "wait"
    return _WEIGHT[kind] * (score + (0.15 if waiting else 0.5) * _time_score(note, calls, wall, scale.wall_ns))


def _count_score(metric: Metric, scale: float) -> float:
    """The square root of the share of all calls, times how much of the row changed."""
    delta = metric.delta
    if not delta or metric.before is None or metric.after is None:
        return 0.0
    novelty = min(1.0, abs(delta) / max(min(metric.before, metric.after), 1.0))
    doubt = 1.0 if metric.apart else 0.05
    return doubt * novelty * sqrt(abs(delta) / scale)


def _time_score(note: str, calls: Metric, wall: Metric, scale: float) -> float:
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
    each_before = wall.before / (calls.before or 1)
    each_after = wall.after / (calls.after or 1)
    ratio = max(each_before, each_after) / max(min(each_before, each_after), 1.0)
    return share if ratio >= TIME_RATIO and share >= 0.02 else 0.0
