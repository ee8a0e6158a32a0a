"""What waits for the disk. When it is too much, the user who has most of it loses their oldest, and nobody else does.

Of calls that are dropped the number is kept: they are lost of the processes that made them, and history says so there.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from straced.model.alerts import AlertRow
from straced.model.durations import DurationBatch
from straced.model.tick import ProcessSample, ServiceEvent, Tick

MAX_WEIGHT = 120_000
"""Processes, pairs of calls, halves of events: some 50 MB."""
MAX_TICKS = 600
"""With processes of one user."""
ROOM = 0.9
"""How much of that is left when something was dropped, so that it is not done anew for each item."""
MAX_LOST = 20_000
"""Processes whose lost calls are told apart."""
SERVICE = -1
"""Instead of a user: what is about the host, or the service itself."""


class LearntRows(Struct, frozen=True):
    """What was learnt of the programs of one user in a tick: program, kind, what."""

    uid: int
    epoch_s: float
    rows: list[tuple[str, str, str]]


Item = Tick | ServiceEvent | AlertRow | LearntRows | DurationBatch | threading.Event
Key = tuple[int, int]


class LostCalls(Struct):
    """A process of which something was dropped, as it was then, and the number of calls; ``None``: not known."""

    sample: ProcessSample
    calls: int | None


class _QueuedItem(Struct):
    item: Item
    shares: dict[int, int]
    """Its weight by user."""


class WriteQueue:
    """A queue for one writer. Not thread-safe: who uses it holds a lock."""

    def __init__(self) -> None:
        self._items: collections.deque[_QueuedItem] = collections.deque()
        self._weights: collections.Counter[int] = collections.Counter()
        self._ticks: collections.Counter[int] = collections.Counter()
        self._held = 0
        self.lost: dict[Key, LostCalls] = {}
        self.dropped = 0
        """Ticks and events of which something did not fit."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def weight(self) -> int:
        """Of all that waits."""
        return self._weights.total()

    def put(self, item: Item) -> None:
        """Add an item; what does not fit any more goes."""
        shares = _shares(item)
        self._items.append(_QueuedItem(item, shares))
        self._count(item, shares, 1)
        while self._weights.total() > MAX_WEIGHT or max(self._ticks.values(), default=0) > MAX_TICKS:
            if not self._make_room():
                break

    def take(self) -> list[Item]:
        """All of it, to be written; it waits on until :meth:`done`, and is not dropped meanwhile."""
        self._held = len(self._items)
        return [each.item for each in self._items]

    def done(self, *, written: bool) -> None:
        """What was taken is written, or was not, and waits as before."""
        for _ in range(self._held if written else 0):
            gone = self._items.popleft()
            self._count(gone.item, gone.shares, -1)
        self._held = 0

    def take_lost(self) -> dict[Key, LostCalls]:
        """The processes of which something was dropped since the last time."""
        lost, self.lost = self.lost, {}
        return lost

    def give_back(self, lost: Iterable[LostCalls]) -> None:
        """They could not be written."""
        for each in lost:
            self._lose(each.sample, each.calls)

    def _count(self, item: Item, shares: dict[int, int], sign: int) -> None:
        for uid, weight in shares.items():
            self._weights[uid] += sign * weight
            self._ticks[uid] += sign * isinstance(item, Tick)
            if not (self._weights[uid] or self._ticks[uid]):
                del self._weights[uid], self._ticks[uid]

    def _make_room(self) -> bool:
        """Drop the oldest of the user who has most; returns whether there was anything."""
        many = [uid for uid, count in self._ticks.items() if count > MAX_TICKS]
        heaviest = max(many or self._weights, key=lambda uid: self._weights[uid])
        excess = self._weights.total() - int(ROOM * MAX_WEIGHT)
        surplus = self._ticks[heaviest] - int(ROOM * MAX_TICKS) if many else 0
        kept = list(self._items)[: self._held]
        before = self.dropped
        for each in list(self._items)[self._held :]:
            weight = each.shares.get(heaviest)
            wanted = surplus > 0 and isinstance(each.item, Tick) if many else excess > 0
            if weight is None or not wanted or isinstance(each.item, threading.Event):
                kept.append(each)
                continue
            excess -= weight
            surplus -= 1
            self._count(each.item, {heaviest: weight}, -1)
            self.dropped += 1
            if rest := self._without(each, heaviest):
                kept.append(rest)
        self._items = collections.deque(kept)
        return self.dropped > before

    def _without(self, each: _QueuedItem, uid: int) -> _QueuedItem | None:
        """What is left of an item without a user's part; ``None`` when nothing is."""
        tick = each.item
        if isinstance(tick, DurationBatch):
            others = {other: weight for other, weight in each.shares.items() if other != uid}
            left = tuple(program for program in tick.programs if program.owner.uid != uid)
            return _QueuedItem(msgspec.structs.replace(tick, programs=left), others) if left else None
        if not isinstance(tick, Tick):
            return None
        for sample in tick.processes:
            if sample.owner.uid == uid:
                self._lose(sample, _calls(sample))
        shares = {other: weight for other, weight in each.shares.items() if other != uid}
        if not shares:
            return None
        rest = tuple(sample for sample in tick.processes if sample.owner.uid != uid)
        return _QueuedItem(msgspec.structs.replace(tick, processes=rest), shares)

    def _lose(self, sample: ProcessSample, calls: int | None) -> None:
        key = sample.facts.key
        known = self.lost.get(key)
        if known is not None:
            calls = None if calls is None or known.calls is None else calls + known.calls
        elif len(self.lost) >= MAX_LOST and key != sample.root:
            key = sample.root  # said of the tree at least
            known = self.lost.get(key)
            calls = None
        if calls != 0 and (known is not None or len(self.lost) < 2 * MAX_LOST):
            self.lost[key] = LostCalls(sample, calls)


def _calls(sample: ProcessSample) -> int | None:
    """The calls of a sample, with those that were lost before already; ``None`` where a part is not known."""
    made = (*(sample.calls or ()), *sample.ended, *sample.others)
    counts = [sample.lost, *(each.calls for each in made)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _shares(item: Item) -> dict[int, int]:
    """How much memory an item holds, by whose it is."""
    if isinstance(item, Tick):
        shares: dict[int, int] = {}
        for sample in item.processes:
            uid = sample.owner.uid
            weight = 1 + (len(sample.calls or ()) + len(sample.ended) + len(sample.others)) // 2
            shares[uid] = shares.get(uid, 0) + weight
        return shares or {SERVICE: 1}
    if isinstance(item, DurationBatch):
        by_user: dict[int, int] = {SERVICE: 0}
        for each in item.programs:
            by_user[each.owner.uid] = by_user.get(each.owner.uid, 0) + 1 + len(each.by_name) // 2
        return by_user
    if isinstance(item, LearntRows):
        return {item.uid: 1 + len(item.rows) // 4}
    if isinstance(item, threading.Event):
        return {SERVICE: 0}
    return {SERVICE if item.owner is None else item.owner.uid: 2}
