"""What a page shows of the time before it was opened: trails, totals, events and alerts, all bounded in number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from straced.live.service import machine_of, note_of
from straced.model.alerts import AlertRow
from straced.model.frame import Key, Note
from straced.model.history import KeptAlert, KeptEvent
from straced.model.tick import ProcessSample, ServiceEvent, Tick
from straced.store.chart_points import ChartPoint
from straced.text.sanitize import scrub

TRAIL = 60
"""Values of each process for its sparkline."""
TOTALS = 900
NOTES = 300
UNNOTED = ("started", "found", "ended")
"""Processes come and go by the hundred; a page about one asks history about that one."""
ALERTS = 200


class Recent:
    """Takes in what the service tells; costs a sum a process and tick."""

    def __init__(self) -> None:
        self.trails: dict[Key, deque[float]] = {}
        self.totals: deque[ChartPoint] = deque(maxlen=TOTALS)
        self.notes: deque[tuple[int, Note]] = deque(maxlen=NOTES)
        self.alerts: dict[str, KeptAlert] = {}
        self.alerts_version = 0
        self._noted = 0

    def seed(self, events: Iterable[KeptEvent], alerts: Iterable[KeptAlert]) -> None:
        """What history kept from before; comes in front of what was told meanwhile."""
        told = [note for _number, note in self.notes]
        first = min((note.epoch_s for note in told), default=float("inf"))
        earlier = [note_of(each.time, each) for each in events if each.time < first and each.kind not in UNNOTED]
        self._noted = 0
        self.notes.clear()
        for note in (*earlier, *told):
            self._note(note)
        self.alerts = {each.id: each for each in alerts} | self.alerts
        self._trim()

    def tick(self, tick: Tick) -> None:
        """Add a tick to the trails and the totals."""
        window_s = (tick.duration_ns or 0) / 1e9
        trails = {}
        calls = errors = 0
        known = window_s > 0
        counted = False
        for sample in tick.processes:
            key = sample.facts.key
            trail = self.trails.get(key)
            if trail is None:
                trail = deque(maxlen=TRAIL)
            if sample.calls is not None:
                counted = True
                made, failed = _sums(sample)
                known = known and made is not None and failed is not None
                calls, errors = calls + (made or 0), errors + (failed or 0)
                if window_s > 0 and made is not None:
                    trail.append(round(made / window_s, 1))
            trails[key] = trail
        self.trails = trails
        machine = machine_of(tick.host)
        self.totals.append(
            ChartPoint(
                time=tick.epoch_s,
                calls_s=round(calls / window_s, 3) if known and counted else None,
                errors_s=round(errors / window_s, 3) if known and counted else None,
                cpu_pct=machine.cpu_pct,
                memory_bytes=machine.memory_used_bytes,
                load=machine.load[0] if machine.load is not None else None,
                pressure_pct=max(machine.pressure.values()) if machine.pressure else None,
            )
        )

    def event(self, event: ServiceEvent) -> None:
        """Add an event."""
        if event.kind not in UNNOTED:
            self._note(note_of(event.epoch_s, event))

    def alert(self, alert: AlertRow) -> None:
        """Open, change or close an alert."""
        fields = {name: getattr(alert, name) for name in ("id", "kind", "subject", "pid", "comm", "job", "data")}
        self.alerts[alert.id] = KeptAlert(
            text=scrub(alert.text, 500),
            opened=alert.opened_s,
            updated=alert.updated_s,
            closed=alert.closed_s,
            **fields,
        )
        self._trim()

    def notes_after(self, number: int) -> tuple[list[Note], int]:
        """What is new to who was told up to ``number``."""
        return [note for at, note in self.notes if at > number], self._noted

    def _note(self, note: Note) -> None:
        self._noted += 1
        self.notes.append((self._noted, note))

    def _trim(self) -> None:
        ranked = sorted(self.alerts.values(), key=lambda each: (each.closed is not None, -each.opened))
        self.alerts = {each.id: each for each in ranked[:ALERTS]}
        self.alerts_version += 1


def _sums(sample: ProcessSample) -> tuple[int | None, int | None]:
    calls: int | None = 0
    errors: int | None = 0
    for row in (*(sample.calls or ()), *sample.ended, *sample.others):
        calls = None if calls is None or row.calls is None else calls + row.calls
        errors = None if errors is None or row.errors is None else errors + row.errors
    return calls, errors


def encoded(alerts: Iterable[KeptAlert]) -> bytes:
    """Alerts as JSON, without what programs alone would read."""
    return msgspec.json.encode([msgspec.structs.replace(each, data={}) for each in alerts])
