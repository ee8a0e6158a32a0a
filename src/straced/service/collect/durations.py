"""How long calls took since the last time, by job, program and owner: out of the readings that there are anyway.

Taken now and then, not at each tick: to compare a histogram costs as much as all else of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from straced.concurrency.pacing import Pace
from straced.model.counter_rows import RowPart
from straced.model.durations import CallDurations, DurationBatch, ProgramDurations, returned_since
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
            if root is None:
                continue
            for before, part in changed.parts:
                await pace.rest()
                if took := list(part.durations_since(before)):
                    _add(found.setdefault(self._place(changed, part, root), {}), took)
            for row, told in changed.rows:
                await pace.rest()
                if (made := returned_since(row, told)) is not None:
                    _add(found.setdefault(self._place(changed, row, root), {}), [(row.name, made)])
        return DurationBatch(epoch_s, tuple(ProgramDurations(*place, by_name) for place, by_name in found.items()))

    def _place(self, changed: ChangedRows, row: Counters | RowPart, root: ProcessSample) -> tuple[str, str, Owner]:
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


def _add(found: dict[str, CallDurations], took: Iterable[tuple[str, CallDurations]]) -> None:
    for name, made in took:
        if (known := found.get(name)) is None:
            found[name] = made
        else:
            known.add(made)
