"""Ticks, events and alerts to those who subscribed: each sees what is theirs, and large ticks come in parts."""

from __future__ import annotations

from collections.abc import Iterator

from straced.service import attribution
from straced.service.authorisation import Peer
from straced.service.ipc import protocol
from straced.service.ipc.messages import TickPart
from straced.service.ipc.server import Server
from straced.service.samples import Happening, ProcessSample, Tick
from straced.service.store.alerts_table import AlertRow

PART_BYTES = 512 * 1024
_Kind = tuple[int, int, int]


class Publisher:
    """Encodes a tick once for each kind of reader.

    Args:
        server: who listens.
        all_see_all: a user's own service: whoever may connect may see everything.
    """

    def __init__(self, server: Server, *, all_see_all: bool) -> None:
        self._server = server
        self._all_see_all = all_see_all
        self._sequence = 0

    def tick(self, tick: Tick) -> None:
        """Send a tick."""
        self._sequence += 1
        made: dict[_Kind, list[bytes]] = {}

        def frames(peer: Peer) -> list[bytes]:
            kind = (peer.uid, peer.gid, peer.capabilities)
            if kind not in made:
                parts = list(self._parts(tick, peer))
                made[kind] = [protocol.notification("tick", part) for part in parts]
            return made[kind]

        self._server.publish("ticks", frames)

    def whole(self, tick: Tick, peer: Peer) -> TickPart:
        """A tick in one piece."""
        return self._part(tick, tuple(self._visible(tick, peer)), 0, 1)

    def event(self, event: Happening) -> None:
        """Send an event."""
        frame = [protocol.notification("event", event)]
        self._server.publish("events", lambda peer: frame if self._may_see(peer, event) else [])

    def alert(self, alert: AlertRow) -> None:
        """Send an alert that opened, changed or closed."""
        frame = [protocol.notification("alert", alert)]
        self._server.publish("alerts", lambda peer: frame if self._may_see(peer, alert) else [])

    def _may_see(self, peer: Peer, about: Happening | AlertRow) -> bool:
        return self._all_see_all or about.owner is None or peer.may_see(about.owner)

    def _visible(self, tick: Tick, peer: Peer) -> Iterator[ProcessSample]:
        if self._all_see_all or peer.is_root:
            return iter(tick.processes)
        return (attribution.told(sample) for sample in tick.processes if peer.may_see(sample.owner))

    def _parts(self, tick: Tick, peer: Peer) -> Iterator[TickPart]:
        groups: list[list[ProcessSample]] = [[]]
        size = 0
        for sample in self._visible(tick, peer):
            length = 600 + 130 * len(sample.calls or ()) + sum(map(len, sample.facts.cmdline))
            if size + length > PART_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(sample)
            size += length
        for number, group in enumerate(groups):
            yield self._part(tick, tuple(group), number, len(groups))

    def _part(self, tick: Tick, processes: tuple[ProcessSample, ...], part: int, parts: int) -> TickPart:
        fields = {name: getattr(tick, name) for name in tick.__struct_fields__ if name != "processes"}
        return TickPart(sequence=self._sequence, part=part, parts=parts, processes=processes, **fields)
