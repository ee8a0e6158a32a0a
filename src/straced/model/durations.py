"""How long calls took, by job, program and call: what percentiles of history and buckets of metrics are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct

from straced.model import histogram
from straced.model.owner import Owner
from straced.model.types import Counters

Buckets = dict[int, int]
"""Calls by bucket of :mod:`straced.model.histogram`."""


class CallDurations(Struct, array_like=True):
    """Of one call."""

    slowest_ns: int = 0
    """The longest; where that is not known, the middle of the last bucket."""
    buckets: Buckets = {}
    total_ns: int = 0
    """All of them together."""

    def add(self, other: CallDurations) -> None:
        """Add what another part of the same call took."""
        self.slowest_ns = max(self.slowest_ns, other.slowest_ns)
        self.total_ns += other.total_ns
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    @property
    def calls(self) -> int:
        """How many returned."""
        return sum(self.buckets.values())

    def percentile_ns(self, share: float) -> int | None:
        """What ``share`` of them (0 to 1) did not exceed, to the precision of the buckets."""
        counts = [0] * (max(self.buckets, default=-1) + 1)
        for bucket, count in self.buckets.items():
            counts[bucket] = count
        found = histogram.percentile_ns(counts, share)
        return found if found is None or not self.slowest_ns else min(found, self.slowest_ns)


class ProgramDurations(Struct, frozen=True):
    """Of one program in one job, of processes of one owner."""

    job: str
    program: str
    owner: Owner
    by_name: Mapping[str, CallDurations]


class DurationBatch(Struct, frozen=True):
    """What returned since the batch before."""

    epoch_s: float
    programs: tuple[ProgramDurations, ...]


def returned_since(row: Counters, told: Sequence[Counters]) -> CallDurations | None:
    """What returned in a row besides what is known of it; ``None``: nothing, or it tells no durations."""
    counts = list(row.histogram or ())
    longest_ns = row.max_ns or 0
    for each in told:
        counts = [now - (before or 0) for now, before in zip_longest(counts, each.histogram or (), fillvalue=0)]
        if each.max_ns is not None and each.max_ns >= longest_ns:
            longest_ns = 0  # it was known before
    buckets = {bucket: count for bucket, count in enumerate(counts) if count > 0}
    total_ns = (row.wall_ns or 0) - sum(each.wall_ns or 0 for each in told)
    return made_of(buckets, longest_ns, total_ns)


def made_of(buckets: Buckets, longest_ns: int, total_ns: int) -> CallDurations | None:
    """Durations; the longest is 0 where it is not known to be new."""
    if not buckets:
        return None
    return CallDurations(longest_ns or sum(histogram.bounds(max(buckets))) // 2, buckets, max(0, total_ns))


def together(parts: Iterable[CallDurations]) -> CallDurations:
    """Several calls as one."""
    slowest_ns = total_ns = 0
    buckets: Buckets = {}
    for part in parts:  # of a day there are thousands: no call for each
        slowest_ns = max(slowest_ns, part.slowest_ns)
        total_ns += part.total_ns
        for bucket, count in part.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    return CallDurations(slowest_ns, buckets, total_ns)
