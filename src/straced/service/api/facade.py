"""What clients may ask of a service, each as far as their rights go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from straced._version import __version__
from straced.config.watch_rules import Rule
from straced.ipc import messages
from straced.linux import credentials
from straced.linux.credentials import Peer
from straced.service.api.publisher import Publisher
from straced.service.api.server import Server
from straced.service.api.sessions import Sessions
from straced.service.hourly_exporter import HourlyExporter
from straced.service.metrics.openmetrics import Totals
from straced.service.service import Service
from straced.store.writer import HistoryWriter


class Facade:
    """The service as its clients see it.

    Args:
        service: what collects.
        server: who its clients are.
        sessions: what it attaches for them.
        publisher: what a user may see of a tick.
        totals: the metrics.
        export: what writes history for other engines.
    """

    def __init__(
        self,
        service: Service,
        server: Server,
        sessions: Sessions,
        publisher: Publisher,
        totals: Totals,
        export: HourlyExporter,
    ) -> None:
        self._service = service
        self._server = server
        self._publisher = publisher
        self._totals = totals
        self._export = export
        self.sessions = sessions
        self.system = service.paths.system
        """Whether it serves all users; what each may see is theirs then."""
        self.pid = service.pid

    # --- what is watched ---

    def add_rule(self, peer: Peer, rule: Rule) -> messages.WatchRule:
        """Watch by one more rule, from now on.

        Raises:
            NoSuchProcess, NotPermitted: it names a process that is not there, or not theirs.
        """
        if rule.owner is not None and rule.kind in ("pid", "children"):
            credentials.require(peer, int(rule.value))
        rule = self._service.rulebook.add(rule)
        self._service.rules_changed()
        return messages.WatchRule(target=rule.text, labels=rule.labels, owner=rule.owner)

    def remove_rule(self, peer: Peer, text: str) -> None:
        """Watch by one rule less."""
        self._service.rulebook.remove(peer, text, all_are_theirs=not self.system)
        self._service.rules_changed()

    def list_rules(self, peer: Peer) -> list[messages.WatchRule]:
        """The rules that a user may know of, with the number of processes that they may see."""
        counts = self._seen_by_rule(peer)
        everything = peer.is_root or not self.system
        return [
            messages.WatchRule(
                target=rule.text, labels=rule.labels, owner=rule.owner, processes=counts.get(rule.text, 0)
            )
            for rule in self._service.rulebook.all
            if everything or rule.owner == peer.uid
        ]

    def _seen_by_rule(self, peer: Peer) -> dict[str, int]:
        """How many processes that a user may see each rule has found, as of the last tick for those who see all."""
        if peer.is_root or not self.system:
            return self._service.found_by_rule()
        watcher = self._service.watcher
        watched = watcher.watchlist.watched.values()
        return Counter(each.rule for each in watched if peer.may_see(watcher.owner_of(each.key)))

    def label(self, peer: Peer, pid: int, labels: dict[str, str]) -> None:
        """Give a process and its descendants labels; they are watched from now on.

        Raises:
            NoSuchProcess, NotPermitted: there is none, or it is not theirs.
        """
        credentials.require(peer, pid)
        self._service.label(pid, labels)

    # --- how it is ---

    def snapshot(self, peer: Peer) -> messages.TickPart | None:
        """The last tick, as far as a user may see it."""
        tick = self._service.last_tick
        return None if tick is None else self._publisher.whole(tick, peer)

    def status(self, peer: Peer) -> messages.Status:
        """Return the state of the service."""
        service, store, tick = self._service, self.store, self._service.last_tick
        return messages.Status(
            version=__version__,
            pid=service.pid,
            system=self.system,
            started=service.started,
            interval_ns=int(service.config.interval),
            tracer=service.tracer,
            tracer_reason=service.tracer_reason,
            history=store.state if store is not None else "off",
            history_path=str(self.history_path()),
            history_bytes=self._history_bytes(),
            history_dropped=store.dropped if store is not None else 0,
            history_moved=str(store.moved) if store is not None and store.moved is not None else None,
            export=self._export.state,
            export_error=self._export.error if peer.is_root or not self.system else "",
            export_waiting=self._export.waiting,
            rules=len(self.list_rules(peer)),
            watched=sum(self._seen_by_rule(peer).values()),
            sessions=len(self.sessions),
            clients=len(self._server.clients),
            alerts_open=service.alerts.count_open(None if not self.system else peer),
            ticks=service.ticks,
            late_ticks=service.late_ticks,
            host=tick.host if tick is not None else None,
            config_error=service.config_error,
            records=service.flight.state,
            records_bytes=service.flight.memory_bytes,
            recorded=self.sessions.recorded + service.reactions.recorded,
            slow_ns=service.watcher.slow.limit_ns if service.tracer is not None else None,
        )

    @property
    def store(self) -> HistoryWriter | None:
        """History, where it is kept."""
        return self._service.store

    def history_path(self) -> Path:
        """Where history is."""
        return self._service.history_path()

    def _history_bytes(self) -> int | None:
        try:
            return self.history_path().stat().st_size if self.store is not None else None
        except OSError:
            return None

    def metrics_protobuf(self) -> bytes:
        """The same as protobuf."""
        return self._totals.protobuf(self._service)

    def metrics_text(self) -> str:
        """The metrics of all users as OpenMetrics."""
        return self._totals.text(self._service)
