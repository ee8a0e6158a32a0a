"""Where ticks, events and alerts go: history, the stream, clients, and listeners in this process."""

from __future__ import annotations

from typing import Protocol

import msgspec

from straced.config import schema
from straced.model.tick import Happening, Tick
from straced.service.api.publisher import Publisher
from straced.service.sinks.ndjson import NdjsonSink
from straced.store.alerts import AlertRow
from straced.store.writer import HistoryWriter
from straced.text.sanitize import scrub


class TickSink(Protocol):
    """Who is told of all that happens, in this process."""

    def tick(self, tick: Tick) -> None: ...

    def event(self, event: Happening) -> None: ...

    def alert(self, alert: AlertRow) -> None: ...


class Outlets:
    """Hands on what happened. None of them makes the collector wait."""

    def __init__(self, stream: schema.StreamConfig, publisher: Publisher) -> None:
        self.store: HistoryWriter | None = None
        self.stream = NdjsonSink(stream)
        self.publisher = publisher
        self.listeners: list[TickSink] = []
        """They neither wait nor raise."""

    def tick(self, tick: Tick) -> None:
        """Hand on a sample."""
        if self.store is not None:
            self.store.put(tick)
        self.stream.tick(tick)
        self.publisher.tick(tick)
        for listener in self.listeners:
            listener.tick(tick)

    def event(self, event: Happening) -> None:
        """Hand on an event; its text may hold what somebody wrote."""
        if not event.text.isprintable():
            event = msgspec.structs.replace(event, text=scrub(event.text))
        if self.store is not None:
            self.store.put(event)
        self.stream.event(event)
        self.publisher.event(event)
        for listener in self.listeners:
            listener.event(event)

    def alert(self, alert: AlertRow) -> None:
        """Hand on an alert that opened, changed or closed; its text may hold what somebody wrote."""
        if not (alert.text.isprintable() and alert.job.isprintable()):
            alert = msgspec.structs.replace(alert, text=scrub(alert.text), job=scrub(alert.job))
        if self.store is not None:
            self.store.put(alert)
        self.stream.alert(alert)
        self.publisher.alert(alert)
        for listener in self.listeners:
            listener.alert(alert)
