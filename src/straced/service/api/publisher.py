"""Ticks, events and alerts to those who subscribed: each sees what is theirs, and large ticks come in parts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from straced.ipc import protocol
from straced.ipc.messages import TickPart
from straced.linux.credentials import Peer
from straced.model.alerts import AlertRow
from straced.model.tick import ProcessSample, ServiceEvent, Tick
from straced.service.api.server import Server
from straced.service.collect import attribution
from straced.text.sanitize import CUT

PART_BYTES = 512 * 1024
WHOLE_BYTES = 4 << 20
"""Of a tick in one piece. When it is larger, command lines are cut, and then processes of the user who has most."""
SHORT_CHARS = 80
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
        """A tick in one piece; what does not fit is left out, and counted."""
        samples, cut = fitting(list(self._visible(tick, peer)), WHOLE_BYTES)
        return self._part(tick, tuple(samples), 0, 1, cut)

    def event(self, event: ServiceEvent) -> None:
        """Send an event."""
        frame = [protocol.notification("event", event)]
        self._server.publish("events", lambda peer: frame if self._may_see(peer, event) else [])

    def alert(self, alert: AlertRow) -> None:
        """Send an alert that opened, changed or closed."""
        frame = [protocol.notification("alert", alert)]
        self._server.publish("alerts", lambda peer: frame if self._may_see(peer, alert) else [])

    def _may_see(self, peer: Peer, about: ServiceEvent | AlertRow) -> bool:
        return self._all_see_all or about.owner is None or peer.may_see(about.owner)

    def _visible(self, tick: Tick, peer: Peer) -> Iterator[ProcessSample]:
        if self._all_see_all or peer.is_root:
            return iter(tick.processes)
        return (attribution.told(sample) for sample in tick.processes if peer.may_see(sample.owner))

    def _parts(self, tick: Tick, peer: Peer) -> Iterator[TickPart]:
        groups: list[list[ProcessSample]] = [[]]
        size = 0
        for sample in self._visible(tick, peer):
            length = size_of(sample)
            if size + length > PART_BYTES:
                groups.append([])
                size = 0
            groups[-1].append(sample)
            size += length
        for number, group in enumerate(groups):
            yield self._part(tick, tuple(group), number, len(groups))

    def _part(self, tick: Tick, processes: tuple[ProcessSample, ...], part: int, parts: int, cut: int = 0) -> TickPart:
        fields = {name: getattr(tick, name) for name in tick.__struct_fields__ if name not in ("processes", "cut")}
        return TickPart(sequence=self._sequence, part=part, parts=parts, processes=processes, cut=cut, **fields)


def size_of(sample: ProcessSample) -> int:
    """Some more bytes than a sample takes as JSON."""
    facts = sample.facts
    texts = sum(map(len, facts.cmdline)) + 4 * len(facts.cmdline) + sum(map(len, facts.labels.values()))
    return 700 + 130 * (len(sample.calls or ()) + len(sample.ended)) + 2 * texts


def fitting(samples: list[ProcessSample], budget: int) -> tuple[list[ProcessSample], int]:
    """Samples that fit, and how many were left out: of the user who takes most, before any of another's."""
    sizes = list(map(size_of, samples))
    if sum(sizes) <= budget:
        return samples, 0
    samples = list(map(_shortened, samples))
    sizes = list(map(size_of, samples))
    by_user: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        by_user.setdefault(sample.owner.uid, []).append(place)
    weights = {uid: sum(sizes[place] for place in places) for uid, places in by_user.items()}
    excess = sum(weights.values()) - budget
    left_out: set[int] = set()
    while excess > 0 and weights:
        heaviest = max(weights, key=lambda uid: weights[uid])
        place = by_user[heaviest].pop()
        left_out.add(place)
        excess -= sizes[place]
        weights[heaviest] -= sizes[place]
        if not by_user[heaviest]:
            del by_user[heaviest], weights[heaviest]
    return [sample for place, sample in enumerate(samples) if place not in left_out], len(left_out)


def _shortened(sample: ProcessSample) -> ProcessSample:
    line = " ".join(sample.facts.cmdline)
    if len(line) <= SHORT_CHARS:
        return sample
    facts = msgspec.structs.replace(sample.facts, cmdline=(line[:SHORT_CHARS] + CUT,))
    return msgspec.structs.replace(sample, facts=facts)
