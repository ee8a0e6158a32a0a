"""How long calls took since the last time, by job, program and owner: out of the readings that there are anyway.

Taken now and then, not at each tick: to compare a histogram costs as much as all else of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from straced.concurrency.pacing import Pace
from straced.model import histogram
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations
from straced.model.owner import NOBODY, Owner
from straced.model.tick import OTHER_PROGRAMS, ProcessSample
from straced.model.types import Counters
from straced.service.collect.call_counter import CallCounter
from straced.service.collect.counted_calls import Key
from straced.service.collect.counted_tree import ChangedRows
from straced.store.series import program_of

EVERY_NS = 15 * 10**9
EVERY_TICKS = 15
"""Whatever comes first, so that it costs a fraction of a tick."""


def between(row: Counters, told: list[Counters]) -> CallDurations | None:
    """What returned in a row besides what is known of it; ``None``: nothing, or it tells no durations."""
    counts = list(row.histogram or ())
    longest_ns = row.max_ns or 0
    for each in told:
        counts = [now - (before or 0) for now, before in zip_longest(counts, each.histogram or (), fillvalue=0)]
        if each.max_ns is not None and each.max_ns >= longest_ns:
            longest_ns = 0  # it was known before
    buckets = {bucket: count for bucket, count in enumerate(counts) if count > 0}
    if not buckets:
        return None
    total_ns = (row.wall_ns or 0) - sum(each.wall_ns or 0 for each in told)
    return CallDurations(longest_ns or sum(histogram.bounds(max(buckets))) // 2, buckets, max(0, total_ns))


class DurationCollector:
    """Makes batches.

    Args:
        counting: has the rows.
        last: what is known of each process.
    """

    def __init__(self, counting: CallCounter, last: Callable[[Key], ProcessSample | None]) -> None:
        self._counting = counting
        self._last = last
        self._due_ns = self._ticks = 0
        self._epoch_s: float | None = None
        self._gone: dict[Key, ProcessSample] = {}

    def due(self, now_ns: int, epoch_s: float) -> float | None:
        """Under which moment a batch is to be taken now; ``None``: not yet.

        What returned before the first tick of a minute is that of the minute before.
        """
        before_s, self._epoch_s = self._epoch_s, epoch_s
        turned = before_s is not None and before_s // 60 != epoch_s // 60
        self._ticks += 1
        if not turned and now_ns < self._due_ns and self._ticks < EVERY_TICKS:
            return None
        self._due_ns, self._ticks = now_ns + EVERY_NS, 0
        return before_s if turned else epoch_s

    def note_gone(self, root: ProcessSample) -> None:
        """The root of a tree has ended; what it was like is needed once more."""
        self._gone[root.facts.key] = root

    async def take(self, epoch_s: float) -> DurationBatch:
        """What returned since the batch before."""
        pace = Pace()
        gone, self._gone = self._gone, {}
        found: dict[tuple[str, str, Owner], dict[str, CallDurations]] = {}
        for changed in self._counting.changed_rows():
            root = self._last(changed.root) or gone.get(changed.root)
            for row, told in changed.rows:
                await pace.rest()
                made = between(row, told)
                if made is None or root is None:
                    continue
                by_name = found.setdefault(self._place(changed, row, root), {})
                if (known := by_name.get(row.name)) is None:
                    by_name[row.name] = made
                else:
                    known.add(made)
        return DurationBatch(epoch_s, tuple(ProgramDurations(*place, by_name) for place, by_name in found.items()))

    def _place(self, changed: ChangedRows, row: Counters, root: ProcessSample) -> tuple[str, str, Owner]:
        """Under what a row stands: its process if that is known, else its tree, as far as that may be told of it."""
        process = None if row.pid is None else self._last((row.pid, changed.starts.get(row.pid, 0)))
        shown = process or root
        job = shown.facts.labels.get("job", "")
        if process is not None:
            owner, program = process.owner, row.program or program_of(process.facts)
        else:
            theirs = root.owner.private or changed.user == (root.owner.uid, root.owner.gid)
            owner = root.owner if theirs and not changed.is_heir else NOBODY
            program = row.program or OTHER_PROGRAMS
        return job, program, Owner(owner.uid, owner.gid, owner.private)
