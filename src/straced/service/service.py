"""The service itself: collects on a fixed cadence, and hands each tick to history, alerts, metrics and clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from straced._version import __version__
from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.config.watch_rules import MAX_LABELS
from straced.errors import InvalidArgument, NoSuchProcess
from straced.faults import faults
from straced.linux import credentials, procfs
from straced.model.alerts import AlertRow
from straced.model.owner import NOBODY, Owner
from straced.model.tick import ServiceEvent, Tick
from straced.profiling.profiler import Profiler
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from straced.service.alerts.why_verdict import verdict_on
from straced.service.collect.call_counter import start_of
from straced.service.collect.collector import Watcher
from straced.service.collect.exec_listener import Newcomers
from straced.service.collect.ticker import Cadence
from straced.service.collect.tracer_choice import pick_tracer
from straced.service.daemon.stalls import timed
from straced.service.rule_store import Rulebook
from straced.service.sinks.fanout import Fanout
from straced.service.sinks.ndjson import NdjsonSink
from straced.store.database import StoreError
from straced.store.learnt_names import user_of
from straced.store.queue import LearntRows
from straced.store.writer import HistoryWriter
from straced.tracers.strace.own_helpers import own_helpers

log = logging.getLogger("straced.service")

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
        tracer, self.tracer_reason = pick_tracer(config.tracer, config.room, shared=paths.system)
        self.tracer = tracer.name if tracer is not None else None
        self.watcher = Watcher(tracer, helpers=own_helpers, allowed=self._allowed)
        self.newcomers = Newcomers(self.watcher, possible=tracer is not None)
        self.rulebook = Rulebook(paths.rules)
        self.rulebook.configure(config)
        self.alerts = AlertBook(config.alerts)
        self.profiler = Profiler(
            "ebpf",
            max_rows=config.room.rows,
            user_share=config.room.share if paths.system else 1.0,
            max_per_process=SESSIONS_A_PROCESS,
        )
        self.reactions = Reactions(config.on_alert, paths.traces, self.profiler, self.say)
        self.store: HistoryWriter | None = None
        """History, where it is kept."""
        self.stream = NdjsonSink(config.stream)
        self.fanout = Fanout(self.stream)
        self.after_tick: list[Callable[[], None]] = []
        """Called when all that a sample gave rise to has been handed on."""
        self.after_reload: list[Callable[[Config], None]] = []
        """Called with the configuration that holds from now on."""
        self._cadence = Cadence(config.interval)
        self._wake = asyncio.Event()
        self._next_look_ns = 0
        self._reloaded: Config | None = None
        self._stopping = False
        self._skipped = 0
        self._by_rule: dict[str, int] | None = None
        self._explaining: asyncio.Task[None] | None = None

    # --- its life ---

    def start(self) -> None:
        """Read the rules and open history. The caller holds the lock.

        Raises:
            StoreError: there is no place for state.
        """
        self.rulebook.load()
        self._take_rules()
        self._open_store()

    def announce(self) -> None:
        """Say that the service has started, once clients can connect."""
        self.say("service_started", f"straced {__version__} watches by {len(self.rulebook.all)} rules")
        self._say_readable()
        if self.rulebook.ignored:
            text = f"{len(self.rulebook.ignored)} rules of an earlier version cannot be used and are left out"
            self.say(
                "rules_ignored", text, owner=NOBODY, rules="; ".join(rule for rule, _ in self.rulebook.ignored[:5])
            )

    def _say_readable(self) -> None:
        """The kernel does not tell who connects to a port."""
        listen = self.config.metrics.listen
        if self.paths.system and listen and not listen.startswith("unix:"):
            text = f"everybody on this host can read the metrics of all users at {listen}; unix:/PATH is root's alone"
            self.say("metrics_readable", text)
            log.warning("metrics_readable", extra={"straced": {"listen": listen}})

    def _open_store(self) -> None:
        if not self.config.store.enabled:
            return
        store = HistoryWriter(self.history_path(), self.config.store)
        store.start()
        self.store = store
        self.fanout.sinks.insert(0, store)
        self.alerts.learn(store.known())
        self._tell_notes()

    def _tell_notes(self) -> None:
        """What the store found out when it opened its file."""
        while self.store is not None and self.store.notes:
            self.say(*self.store.notes.popleft())

    def history_path(self) -> Path:
        """Where history is."""
        return Path(self.config.store.path) if self.config.store.path else self.paths.history

    async def run(self) -> None:
        """Tick until :meth:`ask_to_stop`."""
        while not self._stopping:
            due = await self._cadence.wait(self._wake)
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
            self._next_look_ns = now_ns + self.config.discover - self.config.interval // 2
        self.watcher.host.late_ticks = self._cadence.late
        tick, happened = await self.watcher.tick(look=look, late=late)
        self.ticks += 1
        self.last_tick = tick
        self._by_rule = None
        self.fanout.tick(tick)
        self._tell_notes()
        for event in happened:
            self.fanout.event(event)
        changes = self.alerts.judge(tick)
        self._keep_learnt(tick)
        for alert in changes:
            self._tell_alert(alert, tick)
        for done in self.after_tick:
            done()
        return tick

    def _keep_learnt(self, tick: Tick) -> None:
        by_user: dict[int, list[tuple[str, str, str]]] = {}
        for each in self.alerts.take_learnt():
            by_user.setdefault(user_of(each[0]), []).append(each)
        for uid, rows in by_user.items():
            if self.store is not None:
                self.store.put(LearntRows(uid, tick.epoch_s, rows))

    def say(self, kind: str, text: str, *, owner: Owner | None = None, **data: str | int | float | bool | None) -> None:
        """Keep an event about the service itself, or about something of ``owner``."""
        self.fanout.event(ServiceEvent(epoch_s=time.time(), kind=kind, text=text, owner=owner, data=data))

    def _tell_alert(self, alert: AlertRow, tick: Tick) -> None:
        self.fanout.alert(alert)
        if alert.opened_s == alert.updated_s == tick.epoch_s and alert.closed_s is None:
            log.warning("alert", extra={"straced": {"kind": alert.kind, "text": alert.text}})
            if alert.kind == "stuck" and alert.pid is not None and self._explaining is None:
                self._explaining = asyncio.create_task(self._explain(alert))
            else:
                self.reactions.opened(alert)

    async def _explain(self, alert: AlertRow) -> None:
        """Add the verdict of ``why`` to an alert, before anything is done that stirs the process; one at a time."""
        try:
            assert alert.pid is not None
            if start_of(alert.pid) != alert.start_ticks:
                return
            changed = self.alerts.explain(alert, await verdict_on(alert.pid, alert.owner))
            if changed is not None:
                self.fanout.alert(changed)
            self.reactions.opened(changed or alert)
        finally:
            self._explaining = None

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
        self.alerts.configure(config.alerts)
        self.reactions.configure(config.on_alert)
        self.stream.configure(config.stream)
        if config.interval != before.interval:
            self._cadence.restart(config.interval)
        if (config.store.path, config.store.enabled) == (before.store.path, before.store.enabled):
            if self.store is not None:
                self.store.keep = config.store
        else:
            if self.store is not None:
                self.store.close()
                self.fanout.remove(self.store)
                self.store = None
            try:
                self._open_store()
            except StoreError as error:
                self.config_error = "store.path cannot be used"  # what it says may be secret
                log.warning("history_stopped", extra={"straced": {"why": error.reason}})
        self._next_look_ns = 0
        if config.metrics.listen != before.metrics.listen:
            self._say_readable()
        self.say("reloaded", f"the configuration was read anew: {len(self.rulebook.all)} rules")

    def ask_to_stop(self) -> None:
        """End :meth:`run`."""
        self._stopping = True
        self._wake.set()

    async def stop(self, timeout_s: float = 2.5, *others: Awaitable[object]) -> None:
        """End all that is at work, at once, and say so; :meth:`close` comes after it.

        Args:
            timeout_s: seconds for this and for :meth:`close`.
            others: what ends along with it, while the profiler is still there.
        """
        self._stopping = True
        self.newcomers.close()
        if self._explaining is not None:
            self._explaining.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s * 0.6):
                await asyncio.gather(*others, self.reactions.close(), self.watcher.close(), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s * 0.2):
                await self.profiler.close()
        self.say("service_stopped", "the service ended in order")

    async def close(self, timeout_s: float = 2.5) -> None:
        """Close the stream and history."""
        self.stream.close()
        if self.store is not None:
            await asyncio.to_thread(self.store.close, timeout_s * 0.4)

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
            raise NoSuchProcess(f"there is no process {pid}", pid=pid) from error
        if self.watcher.watchlist.labels_after(key, labels) > MAX_LABELS:
            raise InvalidArgument(f"{pid}, or a process below it, would have more than {MAX_LABELS} labels")
        self.watcher.watchlist.label(key, labels)
        self._next_look_ns = 0

    @property
    def late_ticks(self) -> int:
        """Samples that could not be taken on time."""
        return self._cadence.late
