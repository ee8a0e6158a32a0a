"""The service itself: collects on a fixed cadence, and hands each tick to history, alerts, metrics and clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from pathlib import Path

from straced import __version__
from straced.config.paths import ServicePaths
from straced.config.schema import Config
from straced.config.watch_rules import MAX_LABELS, Rule
from straced.errors import InvalidArgument, NoSuchProcess
from straced.faults import faults
from straced.ipc import messages
from straced.linux import credentials, procfs
from straced.linux.credentials import NOBODY, Owner, Peer
from straced.model.tick import Happening, Tick
from straced.profiling.profiler import Profiler
from straced.service.alerts.reactions import Reactions
from straced.service.alerts.tracker import AlertBook
from straced.service.alerts.why_verdict import verdict_on
from straced.service.api.methods import Methods
from straced.service.api.publisher import Publisher
from straced.service.api.server import Server
from straced.service.api.sessions import Sessions
from straced.service.collect.call_counter import start_of
from straced.service.collect.collector import Watcher
from straced.service.collect.exec_listener import Newcomers
from straced.service.collect.ticker import Cadence
from straced.service.collect.tracer_choice import pick_tracer
from straced.service.daemon.stalls import timed
from straced.service.metrics.openmetrics import Totals
from straced.service.rule_store import Rulebook
from straced.service.sinks.fanout import Outlets
from straced.store.alerts import AlertRow
from straced.store.database import StoreError
from straced.store.learnt_names import user_of
from straced.store.queue import LearntRows
from straced.store.writer import HistoryWriter
from straced.tracers.strace.tracer import own_helpers

log = logging.getLogger("straced.service")


class Service:
    """One service. Make, :meth:`start`, :meth:`run`, :meth:`stop`.

    Args:
        config: what to watch, and how.
        places: where its things are.
    """

    def __init__(self, config: Config, places: ServicePaths) -> None:
        self.config = config
        self.places = places
        self.pid = os.getpid()
        self.started = time.time()
        self.ticks = 0
        self.config_error: str | None = None
        self.last_tick: Tick | None = None
        tracer, self.tracer_reason = pick_tracer(config.tracer, config.room, shared=places.system)
        self.tracer = tracer.name if tracer is not None else None
        self.watcher = Watcher(tracer, helpers=own_helpers, allowed=self._allowed)
        self.newcomers = Newcomers(self.watcher, possible=tracer is not None)
        self.rulebook = Rulebook(places.rules)
        self.rulebook.configure(config)
        self.totals = Totals(config.metrics.max_series)
        self.alerts = AlertBook(config.alerts)
        self.profiler = Profiler(
            "ebpf", max_rows=config.room.rows, user_share=config.room.share if places.system else 1.0
        )
        self.sessions = Sessions(lambda: self.profiler, lambda: self.config.ipc)
        self.reactions = Reactions(config.on_alert, places.traces, self.profiler, self.say)
        self.methods = Methods(self)
        self.server = Server(places.socket, system=places.system, limits=config.ipc, handle=self.methods.handle)
        self.outlets = Outlets(config.stream, Publisher(self.server, all_see_all=not places.system))
        self._cadence = Cadence(config.interval)
        self._wake = asyncio.Event()
        self._next_look_ns = 0
        self._reloaded: Config | None = None
        self._stopping = False
        self._skipped = 0
        self._by_rule: dict[str, int] | None = None
        self._explaining: asyncio.Task[None] | None = None

    # --- its life ---

    async def start(self) -> None:
        """Open history and the socket. The caller holds the lock.

        Raises:
            SocketTaken, StoreError: there would be nobody to talk to, or no place for state.
        """
        self.rulebook.load()
        self._take_rules()
        self._open_store()
        self.server.start()
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
        if self.places.system and listen and not listen.startswith("unix:"):
            text = f"everybody on this host can read the metrics of all users at {listen}; unix:/PATH is root's alone"
            self.say("metrics_readable", text)
            log.warning("metrics_readable", extra={"straced": {"listen": listen}})

    def _open_store(self) -> None:
        if not self.config.store.enabled:
            return
        store = HistoryWriter(self.history_path(), self.config.store)
        store.start()
        self.outlets.store = store
        self.alerts.learn(store.known())
        self._tell_notes()

    def _tell_notes(self) -> None:
        """What the store found out when it opened its file."""
        while self.store is not None and self.store.notes:
            self.say(*self.store.notes.popleft())

    @property
    def store(self) -> HistoryWriter | None:
        """History, where it is kept."""
        return self.outlets.store

    def history_path(self) -> Path:
        """Where history is."""
        return Path(self.config.store.path) if self.config.store.path else self.places.history

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
        self.totals.add(tick)
        self.outlets.tick(tick)
        self._tell_notes()
        for event in happened:
            self.outlets.event(event)
        changes = self.alerts.judge(tick)
        self._keep_learnt(tick)
        for alert in changes:
            self._tell_alert(alert, tick)
        self.totals.write_textfile(self.config.metrics.textfile, self)
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
        self.outlets.event(Happening(epoch_s=time.time(), kind=kind, text=text, owner=owner, data=data))

    def _tell_alert(self, alert: AlertRow, tick: Tick) -> None:
        self.outlets.alert(alert)
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
                self.outlets.alert(changed)
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
        self.server.limits = config.ipc
        self.alerts.configure(config.alerts)
        self.reactions.configure(config.on_alert)
        self.outlets.stream.configure(config.stream)
        self.totals.max_series = config.metrics.max_series
        if config.interval != before.interval:
            self._cadence.restart(config.interval)
        if (config.store.path, config.store.enabled) == (before.store.path, before.store.enabled):
            if self.store is not None:
                self.store.keep = config.store
        else:
            if self.store is not None:
                self.store.close()
                self.outlets.store = None
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

    async def stop(self, timeout_s: float = 2.5) -> None:
        """End everything, all at once, within ``timeout_s``."""
        self._stopping = True
        self.newcomers.close()
        self.methods.close()
        if self._explaining is not None:
            self._explaining.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s * 0.6):
                await asyncio.gather(
                    self.sessions.close(),
                    self.reactions.close(),
                    self.watcher.close(),
                    return_exceptions=True,
                )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s * 0.2):
                await self.profiler.close()
        self.say("service_stopped", "the service ended in order")
        self.server.close()
        self.outlets.stream.close()
        if self.store is not None:
            await asyncio.to_thread(self.store.close, timeout_s * 0.4)

    # --- what clients ask ---

    def _allowed(self, uid: int, pid: int) -> bool:
        try:
            owner = credentials.owner_of(pid)
        except (procfs.Gone, OSError, KeyError):
            return False
        return owner.uid == uid and not owner.private

    async def add_rule(self, peer: Peer, rule: Rule) -> messages.WatchRule:
        """Watch by one more rule, from now on."""
        if rule.owner is not None and rule.kind in ("pid", "children"):
            credentials.require(peer, int(rule.value))
        rule = self.rulebook.add(rule)
        self._rules_changed()
        return messages.WatchRule(target=rule.text, labels=rule.labels, owner=rule.owner)

    async def remove_rule(self, peer: Peer, text: str) -> None:
        """Watch by one rule less."""
        self.rulebook.remove(peer, text, all_are_theirs=not self.places.system)
        self._rules_changed()

    def _rules_changed(self) -> None:
        self._take_rules()
        self._next_look_ns = 0

    def _take_rules(self) -> None:
        self._by_rule = None
        self.watcher.set_rules(self.rulebook.all)
        self.newcomers.set_rules(self.rulebook.all)

    def list_rules(self, peer: Peer) -> list[messages.WatchRule]:
        """The rules that a user may know of, with the number of processes that they may see."""
        counts = self._seen_by_rule(peer)
        everything = peer.is_root or not self.places.system
        return [
            messages.WatchRule(
                target=rule.text, labels=rule.labels, owner=rule.owner, processes=counts.get(rule.text, 0)
            )
            for rule in self.rulebook.all
            if everything or rule.owner == peer.uid
        ]

    def _seen_by_rule(self, peer: Peer) -> dict[str, int]:
        """How many processes that a user may see each rule has found, as of the last tick for those who see all."""
        watched = self.watcher.watchlist.watched.values()
        if not peer.is_root and self.places.system:
            return Counter(each.rule for each in watched if self._sees(peer, each.key))
        if self._by_rule is None:
            self._by_rule = Counter(each.rule for each in watched)
        return self._by_rule

    def _sees(self, peer: Peer, key: tuple[int, int]) -> bool:
        return not self.places.system or peer.may_see(self.watcher.owner_of(key))

    async def label(self, pid: int, labels: dict[str, str]) -> None:
        """Give a process and its descendants labels; they are watched from now on."""
        try:
            key = (pid, procfs.stat(pid).start_ticks)
        except procfs.Gone as error:
            raise NoSuchProcess(f"there is no process {pid}", pid=pid) from error
        if self.watcher.watchlist.labels_after(key, labels) > MAX_LABELS:
            raise InvalidArgument(f"{pid}, or a process below it, would have more than {MAX_LABELS} labels")
        self.watcher.watchlist.label(key, labels)
        self._next_look_ns = 0

    def snapshot(self, peer: Peer) -> messages.TickPart | None:
        """The last tick, as far as a user may see it."""
        return None if self.last_tick is None else self.outlets.publisher.whole(self.last_tick, peer)

    def status(self, peer: Peer) -> messages.Status:
        """How the service is."""
        store = self.store
        tick = self.last_tick
        return messages.Status(
            version=__version__,
            pid=self.pid,
            system=self.places.system,
            started=self.started,
            interval_ns=int(self.config.interval),
            tracer=self.tracer,
            tracer_reason=self.tracer_reason,
            history=store.state if store is not None else "off",
            history_path=str(self.history_path()),
            history_bytes=self._history_bytes(),
            history_dropped=store.dropped if store is not None else 0,
            history_moved=str(store.moved) if store is not None and store.moved is not None else None,
            rules=len(self.list_rules(peer)),
            watched=sum(self._seen_by_rule(peer).values()),
            sessions=len(self.sessions),
            clients=len(self.server.clients),
            alerts_open=self.alerts.count_open(None if not self.places.system else peer),
            ticks=self.ticks,
            late_ticks=self._cadence.late,
            host=tick.host if tick is not None else None,
            config_error=self.config_error,
        )

    def _history_bytes(self) -> int | None:
        try:
            return self.history_path().stat().st_size if self.store is not None else None
        except OSError:
            return None

    def metrics_text(self) -> str:
        """The metrics as OpenMetrics."""
        return self.totals.text(self)
