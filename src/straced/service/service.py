"""The service itself: collects on a fixed cadence, and hands each tick to history, alerts, metrics and clients."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.config.watch_rules import MAX_LABELS
from straced.errors import InvalidArgument, NoSuchProcess
from straced.faults import faults
from straced.linux import credentials, procfs
from straced.model.owner import Owner
from straced.model.tick import ServiceEvent, Tick
from straced.profiling.profiler import Profiler
from straced.service import notices
from straced.service.alerts.announcer import AlertAnnouncer
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.still_threads import StillThreads
from straced.service.alerts.tracker import AlertBook
from straced.service.collect.collector import Watcher
from straced.service.collect.exec_listener import Newcomers
from straced.service.collect.ticker import Cadence
from straced.service.collect.tracer_choice import pick_tracer, require_attaching
from straced.service.daemon.stalls import timed
from straced.service.flight_keeper import FlightKeeper
from straced.service.history_keeper import HistoryKeeper
from straced.service.rule_store import Rulebook
from straced.service.sinks.fanout import Fanout
from straced.service.sinks.ndjson import NdjsonSink
from straced.store.writer import HistoryWriter
from straced.text.units import count_of
from straced.tracers.strace.own_helpers import own_helpers

log = logging.getLogger("straced.service")

MOST_AHEAD_NS = 10**9
"""So long before a tick, or a quarter of the interval, all processes are looked at: with thousands it takes a while."""
SESSIONS_A_PROCESS = 4
"""Of all clients together, at a time: each takes some 20 MB, and the service is to stay below 200."""


class Service:
    """One service. Make, :meth:`start`, :meth:`run`, :meth:`stop`.

    Args:
        config: what to watch, and how.
        paths: files and directories of the service.
    """

    def __init__(self, config: Config, paths: ServicePaths) -> None:
        self.config = config
        self.paths = paths
        self.pid = os.getpid()
        self.started = time.time()
        self.ticks = 0
        self.config_error: str | None = None
        self.last_tick: Tick | None = None
        tracer, self.tracer_reason = pick_tracer(
            config.tracer, config.room, shared=paths.system, details=config.slow.enabled
        )
        self.tracer = tracer.name if tracer is not None else None
        self.watcher = Watcher(tracer, helpers=own_helpers, allowed=self._allowed, slow=config.slow)
        self.newcomers = Newcomers(self.watcher, possible=tracer is not None)
        self.rulebook = Rulebook(paths.rules)
        self.rulebook.configure(config)
        self.alerts = AlertBook(config.alerts)
        self.still = StillThreads()
        self._require_attaching = functools.partial(require_attaching, config.tracer)
        self._profiler = Profiler(
            "ebpf",
            max_rows=config.room.rows,
            user_share=config.room.share if paths.system else 1.0,
            max_per_process=SESSIONS_A_PROCESS,
        )
        share = config.room.share if paths.system else 1.0
        self.flight = FlightKeeper(config.record, paths, share, self.say, self._require_attaching)
        self.reactions = Reactions(
            config.on_alert,
            paths.traces,
            self._profiler,
            self.say,
            self.flight.dump_for_alert,
            self._require_attaching,
        )
        self.stream = NdjsonSink(config.stream)
        self.fanout = Fanout(self.stream)
        self.history = HistoryKeeper(self.fanout, paths.history, self.say, self.alerts.learn)
        counting_by = "none" if config.tracer == "none" else "auto"
        self._announcer = AlertAnnouncer(self.alerts, self.fanout, self.reactions, counting_by)
        self.after_tick: list[Callable[[], None]] = []
        """Called when all that a sample gave rise to has been handed on."""
        self.after_reload: list[Callable[[Config], None]] = []
        """Called with the configuration that holds from now on."""
        self._cadence = Cadence(config.interval)
        self._wake = asyncio.Event()
        self._next_look_ns = 0
        self._reloaded: Config | None = None
        self._stopping = False
        self._ends_at = 0.0
        """By the clock of the loop, once :meth:`stop` was called."""
        self._skipped = 0
        self._by_rule: dict[str, int] | None = None

    # --- its life ---

    def start(self) -> None:
        """Read the rules and open history. The caller holds the lock.

        Raises:
            StoreError: there is no place for state.
        """
        self.rulebook.load()
        self._take_rules()
        self.history.open(self.config)
        if self.store is not None:
            self.watcher.lived = self.store.lived()

    def announce(self) -> None:
        """Say that the service has started, once clients can connect."""
        for notice in (*notices.at_start(self.rulebook), *notices.of_listeners(self.config, system=self.paths.system)):
            self._note(notice)

    def _note(self, notice: notices.Notice) -> None:
        self.say(notice.kind, notice.text, owner=notice.owner, **notice.data)

    @property
    def store(self) -> HistoryWriter | None:
        """The writer of history, while it is kept."""
        return self.history.store

    def history_path(self) -> Path:
        """Where history is."""
        return self.history.path(self.config)

    def attaching(self) -> Profiler:
        """What attaches to processes for clients, pages and alerts.

        Raises:
            TracerUnavailable: the configuration with which the service started has nothing attached.
        """
        self._require_attaching()
        return self._profiler

    async def run(self) -> None:
        """Tick until :meth:`ask_to_stop`."""
        while not self._stopping:
            if ahead := await self._cadence.wait(self._wake, min(self.config.interval // 4, MOST_AHEAD_NS)):
                await self._look_ahead()
            due = ahead and await self._cadence.wait(self._wake)
            self._wake.clear()
            if self._reloaded is not None:
                self._apply(self._reloaded)
            if due and not self._stopping:
                late = self._cadence.take()
                try:
                    await timed(lambda: "the tick", self.tick(late=late))
                    self._skipped = 0
                except OSError as error:
                    self._skip(error)
                except Exception as error:
                    faults.tell("tick_failed", error)

    async def _look_ahead(self) -> None:
        """Look at all processes when the next tick is to tell what that finds, so that it begins on time itself."""
        due_ns = time.monotonic_ns() + self._cadence.wait_ns()
        if due_ns < self._next_look_ns:
            return
        self._next_look_ns = self._look_after(due_ns)
        try:
            await timed(lambda: "the look at all processes", self.watcher.look())
        except Exception:
            self._next_look_ns = 0  # the tick looks, and says what is wrong if it still is

    def _look_after(self, tick_ns: int) -> int:
        """When it is to be looked again after a tick of which a look is part."""
        return tick_ns + self.config.discover - self.config.interval // 2

    def _skip(self, error: OSError) -> None:
        """A sample could not be taken, for want of descriptors or memory, say: it counts as late, and is said once."""
        self._cadence.late += 1
        if error.errno != self._skipped:
            log.warning("tick_skipped", extra={"straced": {"why": error.strerror or str(error)}})
        self._skipped = error.errno or -1

    async def tick(self, *, look: bool | None = None, late: bool = False) -> Tick:
        """Take one sample, and hand it on."""
        now_ns = time.monotonic_ns()
        if look is None:
            look = now_ns >= self._next_look_ns
        if look:
            self._next_look_ns = self._look_after(now_ns)
        self.watcher.host.late_ticks = self._cadence.late
        tick, happened = await self.watcher.tick(look=look, late=late)
        self.ticks += 1
        self.last_tick = tick
        self._by_rule = None
        self.flight.follow(self.watcher.counting.counted())
        self.fanout.tick(tick)
        if (moment := self.watcher.durations.due(now_ns, tick.epoch_s)) is not None:
            self.flight.keep_within()
            await self._tell_durations(moment)
        self.history.tell_notes()
        for event in happened:
            self.fanout.event(event)
        await self.still.look(tick, self.config.alerts)
        found = (*self.still.findings(tick), *self.watcher.slow.findings(tick, self.config.alerts.slow_calls))
        changes = self.alerts.judge(tick, found)
        self.history.keep_learnt(self.alerts.take_learnt(), tick.epoch_s)
        for alert in changes:
            self._announcer.announce(alert, tick)
        for done in self.after_tick:
            done()
        return tick

    def say(self, kind: str, text: str, *, owner: Owner | None = None, **data: str | int | float | bool | None) -> None:
        """Keep an event about the service itself, or about something of ``owner``."""
        self.fanout.event(ServiceEvent(epoch_s=time.time(), kind=kind, text=text, owner=owner, data=data))

    def reload(self, config: Config) -> None:
        """Take another configuration, before the next tick."""
        self._reloaded = config
        self._wake.set()

    def _apply(self, config: Config) -> None:
        before, self.config, self._reloaded = self.config, config, None
        self.rulebook.configure(config)
        self._take_rules()
        for take in self.after_reload:
            take(config)
        self.watcher.slow.configure(config.slow)
        self.alerts.configure(config.alerts)
        self.reactions.configure(config.on_alert)
        self.flight.configure(config.record)
        self.stream.configure(config.stream)
        if config.interval != before.interval:
            self._cadence.restart(config.interval)
        if trouble := self.history.configure(before, config):
            self.config_error = trouble
        self._next_look_ns = 0
        if config.metrics.listen != before.metrics.listen:
            for notice in notices.of_listeners(config, system=self.paths.system):
                self._note(notice)
        self.say("reloaded", f"the configuration was read anew: {count_of(len(self.rulebook.all), 'rule')}")

    def ask_to_stop(self) -> None:
        """End :meth:`run`."""
        self._stopping = True
        self._wake.set()

    async def stop(self, timeout_s: float = 2.5, *others: Awaitable[object]) -> None:
        """End all that is at work, at once, and say so; :meth:`close` comes after it.

        Args:
            timeout_s: seconds for this and for :meth:`close`, both together.
            others: what ends along with it, while the profiler is still there.
        """
        self._stopping = True
        began = asyncio.get_running_loop().time()
        self._ends_at = began + timeout_s
        self.newcomers.close()
        self._announcer.stop()
        self.still.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(began + timeout_s * 0.1):
                await self._tell_durations(time.time())
        asyncio.get_running_loop().call_at(began + timeout_s * 0.4, self.flight.hurry)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(began + timeout_s * 0.6):
                await asyncio.gather(*others, self.reactions.close(), self.watcher.close(), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(began + timeout_s * 0.7):
                await asyncio.gather(self._profiler.close(), self.flight.close())
        self.say("service_stopped", "the service ended in order")

    async def close(self, timeout_s: float = 2.5) -> None:
        """Close the stream, and history, which has the time that :meth:`stop` left, at least a fifth of all."""
        self.stream.close()
        left = self._ends_at - asyncio.get_running_loop().time()
        await self.history.close(min(max(left, timeout_s * 0.2), timeout_s))

    async def _tell_durations(self, epoch_s: float) -> None:
        """What returned since the last time; a fault of it holds up nothing else, least of all the end."""
        try:
            self.fanout.durations(await self.watcher.durations.take(epoch_s))
        except Exception as error:
            faults.tell("durations_failed", error)

    # --- what is watched ---

    def _allowed(self, uid: int, pid: int) -> bool:
        try:
            owner = credentials.owner_of(pid)
        except (procfs.Gone, OSError, KeyError):
            return False
        return owner.uid == uid and not owner.private

    def rules_changed(self) -> None:
        """Watch by the rules as they are now, from the next look on, which is at the next tick."""
        self._take_rules()
        self._next_look_ns = 0

    def _take_rules(self) -> None:
        self._by_rule = None
        self.watcher.set_rules(self.rulebook.all)
        self.newcomers.set_rules(self.rulebook.all)

    def found_by_rule(self) -> dict[str, int]:
        """How many processes each rule has found, as of the last tick."""
        if self._by_rule is None:
            self._by_rule = Counter(each.rule for each in self.watcher.watchlist.watched.values())
        return self._by_rule

    def label(self, pid: int, labels: dict[str, str]) -> None:
        """Give a process and its descendants labels; they are watched from now on.

        Raises:
            NoSuchProcess: there is none.
            InvalidArgument: there are too many labels.
        """
        try:
            key = (pid, procfs.stat(pid).start_ticks)
        except procfs.Gone as error:
            raise NoSuchProcess(f"no such process: {pid}", pid=pid) from error
        if self.watcher.watchlist.labels_after(key, labels) > MAX_LABELS:
            raise InvalidArgument(f"{pid}, or a process below it, would have more than {MAX_LABELS} labels")
        self.watcher.watchlist.label(key, labels)
        self._next_look_ns = 0

    @property
    def late_ticks(self) -> int:
        """Samples that could not be taken on time."""
        return self._cadence.late
