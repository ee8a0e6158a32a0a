"""One tick after the other: who is there, what they are like, what they asked of the kernel, as one frozen value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import msgspec

from straced.concurrency.pacing import Pace, in_pieces
from straced.config.schema import SlowConfig
from straced.config.watch_rules import Rule
from straced.linux import procfs
from straced.linux.gpu import Gpus
from straced.linux.host_reader import HostCollector
from straced.linux.process_reader import ProcessCollector
from straced.model.owner import Owner
from straced.model.tick import Calls, ProcessSample, ServiceEvent, Tick
from straced.service.collect.attribution import Attribution, of_tree, user_of
from straced.service.collect.call_counter import CallCounter, start_of
from straced.service.collect.counted_calls import CountedCalls, Key
from straced.service.collect.durations import DurationCollector
from straced.service.collect.owners import OwnerCache
from straced.service.collect.program_names import ProgramNames
from straced.service.collect.slow_calls import SlowCallWatch
from straced.service.collect.watchlist import Watched, Watchlist, WatchScan
from straced.tracers.base import Tracer

GONE = "X"
MAX_AT_ONCE = 100
"""Programs that are looked at when they begin; in a storm the next look at all processes finds the others."""


class Watcher:
    """Watches processes by rules.

    Args:
        tracer: counts calls; ``None``: facts alone.
        helpers: pids of straced's own helpers.
        allowed: whether a user may watch a process.
        clock_ns: a monotonic clock; ``epoch_s``: the wall clock.
        slow: which calls are slow; none when left out.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        *,
        helpers: Callable[[], Iterable[int]] = tuple,
        allowed: Callable[[int, int], bool] = lambda uid, pid: True,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        epoch_s: Callable[[], float] = time.time,
        slow: SlowConfig | None = None,
    ) -> None:
        self._clock_ns, self._epoch_s = clock_ns, epoch_s
        self.lived: set[Key] = set()
        """Processes that an earlier service watched: they have not started now, but are found again."""
        self.watchlist = Watchlist(helpers, allowed)
        self.slow = SlowCallWatch(slow or SlowConfig(enabled=False), self._by_pid)
        self.counting = CallCounter(tracer, self._found, self._looked_at, user_of=user_of, slow=self.slow)
        self._attribution = Attribution()
        self._programs = ProgramNames()
        self.owners = OwnerCache()
        self.host = HostCollector(clock_ns, gpus=Gpus())
        self._collector = ProcessCollector(clock_ns)
        self._last: dict[Key, ProcessSample] = {}
        self.durations = DurationCollector(self.counting, self._last_of)
        self._before_ns: int | None = None
        self._census: WatchScan = WatchScan()
        self._happened: list[ServiceEvent] = []
        self._gone: list[Watched] = []

    def set_rules(self, rules: list[Rule]) -> None:
        """Watch by these rules; those whom none of them names any more are let go of at the next look."""
        kept = {each.text for each in rules}
        for rule in self.watchlist.rules:
            if rule.text not in kept:
                self._gone += self.watchlist.drop(rule)
        self.watchlist.replace_rules(rules)

    async def tick(self, *, look: bool = True, late: bool = False) -> tuple[Tick, list[ServiceEvent]]:
        """Take a sample of all watched processes; with ``look``, see first who came and went."""
        began_ns = time.monotonic_ns()
        if look:
            await self.look()
        now_ns, epoch_s = self._clock_ns(), self._epoch_s()
        host = self.host.read(self._census.zombies, self._census.processes)  # of this moment, too: the rest takes long
        samples: dict[Key, ProcessSample] = {}
        await self._add_facts(samples, epoch_s)
        counted = await self.counting.read()
        await self._add_facts(samples, epoch_s)  # of descendants that this reading has found
        await self._drop_ended_trees(counted)
        processes = self._join(samples, counted)
        before, self._before_ns = self._before_ns, now_ns
        for sample in processes:
            self._last[sample.facts.key] = sample
        tick = Tick(
            epoch_s=epoch_s,
            monotonic_ns=now_ns,
            duration_ns=None if before is None else now_ns - before,
            boot_id=procfs.boot_id(),
            host=host,
            processes=tuple(processes),
            late=late,
        )
        self.host.tick_ns = time.monotonic_ns() - began_ns
        self._forget_ended()
        happened, self._happened = [*self.slow.happened(epoch_s), *self._happened], []
        return tick, happened

    async def close(self) -> None:
        """Let go of everything."""
        self._collector.close()
        await self.counting.close()

    # --- who is there ---

    async def began(self, pids: list[int]) -> None:
        """Programs that have just begun: those whom a rule names are counted from now on."""
        pace = Pace()
        for pid in pids[:MAX_AT_ONCE]:
            await pace.rest()
            watched = self.watchlist.look_at(pid)
            if watched is not None and watched.root == watched.key and self.counting.serves:
                await self.counting.follow(watched)

    async def look(self) -> None:
        """See who came and went; the next tick tells it."""
        self._census = await in_pieces(self.watchlist.look_stepwise())
        self._gone += self._census.ended
        for watched in self._census.started:
            if watched.root == watched.key and self.counting.serves:
                await self.counting.follow(watched)
                await asyncio.sleep(0)  # a thousand at once must not keep the clients waiting

    def _found(self, pid: int, start: int, root: Watched) -> None:
        if pid not in self.watchlist.watched:
            self.watchlist.adopt(pid, start, root)

    def _looked_at(self, pid: int) -> int | None:
        watched = self.watchlist.watched.get(pid)  # its stat was read for this tick
        return None if watched is None else watched.start_ticks

    async def _add_facts(self, samples: dict[Key, ProcessSample], epoch_s: float) -> None:
        pace = Pace()
        for watched in list(self.watchlist.watched.values()):
            if watched.key in samples:
                continue
            await pace.rest()
            facts = self._collector.read(watched.pid, watched.start_ticks, watched.labels)
            if facts is None or facts.state in "ZX":
                if self.watchlist.ended(watched.pid):
                    self._gone.append(watched)
                self._collector.forget(watched.pid)
                continue
            known = self._last.get(watched.key)
            owner = self.owners.of(facts, self._collector.shown_owner(watched.pid))
            if known is None:
                self._happen("found" if watched.key in self.lived else "started", facts.comm, watched, epoch_s)
                if self._before_ns is not None and facts.age_s * 1e9 < self._clock_ns() - self._before_ns:
                    facts = msgspec.structs.replace(facts, cpu_delta_ns=facts.cpu_ns)  # all of it is new
            calls = () if self.counting.is_counted(watched.root) else None
            samples[watched.key] = ProcessSample(facts=facts, owner=owner, root=watched.root, calls=calls)

    # --- what they did ---

    async def _drop_ended_trees(self, counted: CountedCalls) -> None:
        alive = {watched.root for watched in self.watchlist.watched.values()}
        for root in self.counting.counted():
            if root not in alive:
                if (sample := self._last.get(root)) is not None:
                    self.durations.note_gone(sample)
                last = await self.counting.drop(root)
                for key, calls in last.by_process.items():
                    counted.by_process.setdefault(key, []).extend(calls)
                counted.ended.setdefault(root, []).extend(last.ended.get(root, []))
                counted.others.setdefault(root, []).extend(last.others.get(root, []))
                counted.users.update(last.users)
                counted.callers.update(last.callers)
                counted.root_of.update(last.root_of)
                counted.lost.update(last.lost)
        for root in list(self.counting.refused):
            if root not in alive:
                await self.counting.drop(root)

    def _join(self, samples: dict[Key, ProcessSample], counted: CountedCalls) -> list[ProcessSample]:
        unknown: dict[Key, list[Calls]] = {}
        others = counted.others
        for key, calls in counted.by_process.items():
            if key not in samples:
                last = self._last.get(key)
                if last is None:  # it ended before anybody saw it: its tree has what it did
                    (others if key in counted.callers else unknown).setdefault(counted.root_of[key], []).extend(calls)
                else:
                    samples[key] = _last_word(last)
        owners = {key: self._attribution.owner(sample, counted) for key, sample in samples.items()}
        ahead = {
            key
            for key, calls in counted.by_process.items()
            if key in samples and self._programs.is_ahead(samples[key], calls)
        }
        for pid, _start in ahead:
            self._collector.doubt(pid)
        for key in (self._attribution.changed | ahead) & counted.by_process.keys():
            unknown.setdefault(counted.root_of[key], []).extend(counted.by_process.pop(key))
        for root in {*counted.ended, *counted.lost, *unknown, *others}:
            if root not in samples and root in self._last:
                samples[root] = _last_word(self._last[root])
        news = {*counted.by_process, *counted.ended, *unknown, *others, *counted.lost, *counted.in_flight}
        joined: list[ProcessSample] = []
        for key, sample in samples.items():
            owner = owners.get(key, sample.owner)
            if key not in news:
                joined.append(sample if owner == sample.owner else msgspec.structs.replace(sample, owner=owner))
                continue
            ended = (*counted.ended.get(key, ()), *unknown.get(key, ()))
            ended, hidden = of_tree(owner, ended, tuple(others.get(key, ())), counted.users.get(sample.root))
            joined.append(
                ProcessSample(
                    facts=sample.facts,
                    owner=owner,
                    root=sample.root,
                    calls=tuple(counted.by_process[key]) if key in counted.by_process else sample.calls,
                    ended=ended,
                    others=hidden,
                    lost=counted.lost.get(key, 0),
                    in_flight=counted.in_flight.get(key, {}),
                )
            )
        return joined

    def _last_of(self, key: Key) -> ProcessSample | None:
        return self._last.get(key)

    def _by_pid(self, pid: int) -> tuple[Watched, str, Owner] | None:
        """A watched process, its name, and whose it is."""
        watched = self.watchlist.watched.get(pid)
        known = self._last.get(watched.key) if watched is not None else None
        if watched is None or known is None:
            return None
        return watched, known.facts.comm, self.owner_of(watched.key)

    def owner_of(self, key: Key) -> Owner:
        """Whose a watched process was when it was last looked at."""
        return self._attribution.known(key, self.owners.last(key))

    # --- what is said about it ---

    def _forget_ended(self) -> None:
        gone, self._gone = self._gone, []
        now = self._epoch_s()
        for watched in gone:
            known = self._last.get(watched.key)
            if known is not None:
                kind = "unwatched" if start_of(watched.pid) == watched.start_ticks else "ended"
                self._happen(kind, known.facts.comm, watched, now)
            self.owners.forget(watched.key)
            self._attribution.forget(watched.key)
            self._programs.forget(watched.key)
            self._collector.forget(watched.pid)
        alive = {each.key for each in self.watchlist.watched.values()} | set(self.counting.counted())
        self._last = {key: sample for key, sample in self._last.items() if key in alive}

    def _happen(self, kind: str, comm: str, watched: Watched, epoch_s: float) -> None:
        self._happened.append(
            ServiceEvent(
                epoch_s=epoch_s,
                kind=kind,
                text=f"{watched.pid} ({comm}) {kind}",
                pid=watched.pid,
                start_ticks=watched.start_ticks,
                comm=comm,
                labels=watched.labels,
                owner=self.owner_of(watched.key),
                data=self._end_data(watched) if kind == "ended" else {"rule": watched.rule},
            )
        )

    def _end_data(self, watched: Watched) -> dict[str, str | int | float | bool | None]:
        ending = self.counting.endings.pop(watched.key, None)
        if ending is None:
            return {"why": "ended"}
        return {"why": ending.reason, "exit_status": ending.exit_status}


def _last_word(sample: ProcessSample) -> ProcessSample:
    """A process that has ended, with what it was last like."""
    facts = msgspec.structs.replace(sample.facts, state=GONE, cpu_delta_ns=0, cpu_pct=None)
    return msgspec.structs.replace(sample, facts=facts, calls=(), ended=(), others=(), in_flight={}, lost=0)
