"""Rows of counters added up, where what is not known of a part is not known of the sum."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from straced.model.types import Counters

SUMMED = ("calls", "errors", "restarts", "wall_ns", "working_ns", "waiting_ns")
"""The fields of a row that add up, apart from the calls in flight."""


def known_sum(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; ``None`` when any part is not, since a sum with a hole in it is wrong."""
    total = 0
    empty = True
    for value in values:
        if value is None:
            return None
        total += value
        empty = False
    return None if empty else total


def add_up(rows: Iterable[Counters]) -> list[Counters]:
    """Add rows of the same call and ABI up over processes and threads, one by one."""
    groups: dict[tuple[str, str], list[Counters]] = {}
    for row in rows:
        groups.setdefault((row.abi, row.name), []).append(row)
    return [_merge(group) for group in groups.values()]


def _merge(group: Sequence[Counters]) -> Counters:
    first = group[0]
    if len(group) == 1:
        return first
    sums = {name: known_sum(getattr(row, name) for row in group) for name in (*SUMMED, "in_flight")}
    return Counters(
        name=first.name,
        nr=first.nr,
        abi=first.abi,
        program=None,
        errno=_merge_errno([row.errno for row in group]),
        min_ns=min((row.min_ns for row in group if row.min_ns is not None), default=None),
        max_ns=max((row.max_ns for row in group if row.max_ns is not None), default=None),
        histogram=_merge_histograms([row.histogram for row in group]),
        wall_error_ns=_merge_errors([row.wall_error_ns for row in group]),
        **sums,
    )


def _merge_errno(parts: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    merged: dict[str, int] = {}
    for part in parts:
        if part is None:
            return None
        for name, count in part.items():
            merged[name] = merged.get(name, 0) + count
    return merged


def _merge_errors(parts: Sequence[int | None]) -> int | None:
    """The standard error of a sum: variances add up."""
    known = [part for part in parts if part is not None]
    return round(math.hypot(*known)) if known else None


def _merge_histograms(parts: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    if any(part is None for part in parts):
        return None
    return tuple(map(sum, zip_longest(*(part for part in parts if part is not None), fillvalue=0)))
