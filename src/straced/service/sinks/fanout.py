"""Where ticks, events and alerts go: metrics, history, the stream, clients, pages. Each of them is a sink."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from straced.model.alerts import AlertRow
from straced.model.durations import DurationBatch
from straced.model.tick import ServiceEvent, Tick
from straced.text.sanitize import scrub


class TickSink(Protocol):
    """Who is told of all that happens, in this process. It neither waits nor raises."""

    def tick(self, tick: Tick) -> None:
        """Take a sample."""

    def event(self, event: ServiceEvent) -> None:
        """Take an event."""

    def alert(self, alert: AlertRow) -> None:
        """Take an alert that opened, changed or closed."""


@runtime_checkable
class DurationSink(Protocol):
    """A sink that also wants to know how long calls took."""

    def durations(self, batch: DurationBatch) -> None:
        """Take what returned since the batch before."""


class Fanout:
    """Hands on what happened, to each sink in turn. None of them makes the collector wait."""

    def __init__(self, *sinks: TickSink) -> None:
        self.sinks: list[TickSink] = list(sinks)

    def remove(self, sink: TickSink) -> None:
        """Tell a sink no more; nothing happens if it is none of these."""
        if sink in self.sinks:
            self.sinks.remove(sink)

    def tick(self, tick: Tick) -> None:
        """Hand on a sample."""
        for sink in self.sinks:
            sink.tick(tick)

    def durations(self, batch: DurationBatch) -> None:
        """Hand on how long calls took."""
        for sink in self.sinks:
            if isinstance(sink, DurationSink):
                sink.durations(batch)

    def event(self, event: ServiceEvent) -> None:
        """Hand on an event; its text may hold what somebody wrote."""
        if not event.text.isprintable():
            event = msgspec.structs.replace(event, text=scrub(event.text))
        for sink in self.sinks:
            sink.event(event)

    def alert(self, alert: AlertRow) -> None:
        """Hand on an alert that opened, changed or closed; its text may hold what somebody wrote."""
        if not (alert.text.isprintable() and alert.job.isprintable()):
            alert = msgspec.structs.replace(alert, text=scrub(alert.text), job=scrub(alert.job))
        for sink in self.sinks:
            sink.alert(alert)
