"""Slow calls of the watched processes: told as events, so many a minute of each user, and counted beyond that."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from straced.config.schema import SlowConfig
from straced.model.owner import NOBODY, Owner
from straced.model.slow import SlowSyscall
from straced.model.tick import ServiceEvent, Tick
from straced.service.alerts.rules import Condition
from straced.service.collect.counted_calls import Key
from straced.service.collect.counted_tree import CountedTree
from straced.service.collect.idle_calls import IdlePlaces
from straced.service.collect.watchlist import Watched
from straced.text.redaction import redact
from straced.text.units import count_of, format_ns
from straced.tracers.base import SlowCallSource

MINUTE_S = 60.0
A_SECOND = 50
"""Of one tree, the kernel tells so many."""
MOST_WAITING = 10_000
Finder = Callable[[int], tuple[Watched, str, Owner] | None]


class _Minute:
    """What was told and what was not of one user within a minute."""

    def __init__(self, begun_s: float) -> None:
        self.begun_s = begun_s
        self.told = 0
        self.untold = 0


class SlowCallWatch:
    """Hears of the slow calls of all watched trees.

    Args:
        config: what is slow, and how many are told.
        find: a watched process by pid: itself, its name, whose it is.
        idle: tells rest from trouble.
        clock_ns: a monotonic clock.
    """

    def __init__(
        self,
        config: SlowConfig,
        find: Finder,
        idle: IdlePlaces | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config
        self._find = find
        self._idle = idle or IdlePlaces()
        self._clock_ns = clock_ns
        self._happened: list[ServiceEvent] = []
        self._minutes: dict[Owner, _Minute] = {}
        self._times: dict[Key, deque[tuple[int, SlowSyscall]]] = {}
        """By process, the slow calls of the last minute."""
        self._sources: list[SlowCallSource] = []
        self.rested = 0
        """Slow calls that were rest."""

    @property
    def limit_ns(self) -> int | None:
        """Over which calls are slow; ``None``: nothing is told."""
        return int(self._config.limit) if self._config.enabled else None

    def configure(self, config: SlowConfig) -> None:
        """Judge by another limit from now on."""
        self._config = config
        for source in self._sources:
            source.limit_slow(self.limit_ns or 0)

    def follow(self, tree: CountedTree) -> None:
        """Hear of the slow calls of a tree until it is over."""
        since_ns = self._clock_ns()
        for each in filter(None, (tree, tree.heir)):
            if isinstance(each.session, SlowCallSource):
                each.session.tell_slow(partial(self._take, each, since_ns))
                self._sources.append(each.session)

    def forget(self, tree: CountedTree) -> None:
        """A tree is over."""
        gone = {id(each.session) for each in (tree, tree.heir) if each is not None}
        self._sources = [source for source in self._sources if id(source) not in gone]

    def happened(self, epoch_s: float) -> list[ServiceEvent]:
        """What there is to tell since the last time."""
        for owner, minute in list(self._minutes.items()):
            if epoch_s - minute.begun_s >= MINUTE_S:
                del self._minutes[owner]
                if minute.untold:
                    self._happened.append(_untold(owner, minute, epoch_s))
        found, self._happened = self._happened, []
        return found

    def findings(self, tick: Tick, threshold: int) -> Iterator[Condition]:
        """Processes with so many slow calls within the last minute."""
        oldest_ns = self._clock_ns() - int(MINUTE_S * 1e9)
        for key, times in list(self._times.items()):
            while times and times[0][0] < oldest_ns:
                times.popleft()
            if not times:
                del self._times[key]
        if not threshold or not self._times:
            return
        for sample in tick.processes:
            times = self._times.get(sample.facts.key, deque())
            if len(times) < threshold:
                continue
            longest = max((call for _, call in times), key=lambda call: call.duration_ns)
            text = (
                f"{sample.facts.pid} ({sample.facts.comm}): {count_of(len(times), 'call')} took"
                f" {format_ns(self.limit_ns)} or more within a minute, the longest {_words(longest)}"
            )
            yield Condition(
                kind="slow_calls",
                subject=f"{sample.facts.pid}.{sample.facts.start_ticks}",
                text=text,
                sample=sample,
                owner=sample.owner,
                data={"calls": len(times), "call": longest.name, "about": _hidden(longest.about)},
            )

    def _take(self, tree: CountedTree, since_ns: int, call: SlowSyscall) -> None:
        if self._idle.rests(call, since_ns):
            self.rested += 1
            return
        user = NOBODY if tree.user is None else Owner(tree.user.uid, tree.user.gid, private=False)
        watched, comm, owner = self._find(call.pid) or (tree.root, call.comm, user)
        if tree.is_heir:
            owner = NOBODY
        if not call.inside and watched.pid == call.pid:
            times = self._times.setdefault(watched.key, deque(maxlen=1000))
            times.append((self._clock_ns(), call))
        now_s = time.time()
        minute = self._minutes.setdefault(owner, _Minute(now_s))
        if minute.told >= self._config.per_minute or len(self._happened) >= MOST_WAITING:
            minute.untold += 1
            return
        minute.told += 1
        self._happened.append(
            ServiceEvent(
                epoch_s=now_s,
                kind="slow_call",
                text=f"{call.pid} ({comm}) {_words(call)}",
                pid=call.pid,
                start_ticks=watched.start_ticks if watched.pid == call.pid else None,
                comm=comm,
                labels=watched.labels,
                owner=owner,
                data=_data(call),
            )
        )


def _words(call: SlowSyscall) -> str:
    about = f": {_hidden(call.about)}" if call.about else ""
    error = f", {call.errno}" if call.errno else ""
    if call.inside:
        return f"is in {call.name} for {format_ns(call.duration_ns)}{about}"
    return f"{call.name} took {format_ns(call.duration_ns)}{error}{about}"


def _hidden(text: str) -> str:
    """Without secrets: what is kept may be read by others later."""
    return redact(text)


def _data(call: SlowSyscall) -> dict[str, str | int | float | bool | None]:
    return {
        "call": call.name,
        "tid": call.tid,
        "thread": call.comm,
        "began": call.epoch_s,
        "start_ns": call.start_ns,
        "duration_ns": call.duration_ns,
        "waiting_ns": call.waiting_ns,
        "inside": call.inside,
        "result": call.result,
        "errno": call.errno,
        "path": _hidden(call.path) if call.path is not None else None,
        "peer": _hidden(call.peer) if call.peer is not None else None,
        "text": _hidden(call.call),
    }


def _untold(owner: Owner, minute: _Minute, epoch_s: float) -> ServiceEvent:
    count = minute.untold
    text = f"{count_of(count, 'more slow call')} within a minute"
    return ServiceEvent(epoch_s=epoch_s, kind="slow_calls", text=text, owner=owner, data={"count": count})
