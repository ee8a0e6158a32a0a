"""Forks, execs and exits, from the kernel's ring to async iterators."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
import weakref

from straced.model.types import Event
from straced.text.sanitize import scrub_bytes
from straced.tracers.ebpf import libbpf, wire
from straced.tracers.ebpf.engine import Engine
from straced.tracers.event_stream import EventStream


class Events:
    """The ring of one engine. The kernel writes into it only while somebody listens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._library = libbpf.load()
        self._ring = 0
        self._callback: object = None
        """While the ring is open; it holds us, so that it must not be kept longer."""
        self._streams: dict[int, weakref.WeakSet[EventStream]] = {}
        """By session; one that nobody holds any more listens no more."""
        self.dropped = 0
        """Events that a listener was too slow for."""

    @property
    def lost(self) -> int:
        """Events that found the ring full, or a listener too slow."""
        return int(self._engine.control.lost_events) + self.dropped

    def listen(self, session: int) -> EventStream:
        """Events of a session from now on, until it is over."""
        self._open()
        self._library.ring_buffer__consume(self._ring)  # what happened before is not for this one
        stream = EventStream(self._close_if_unheard)
        self._streams.setdefault(session, weakref.WeakSet()).add(stream)
        return stream

    def end(self, session: int) -> None:
        """Tell the listeners of a session that nothing more will come."""
        if self._ring:
            self._library.ring_buffer__consume(self._ring)
        for stream in self._streams.pop(session, ()):
            stream.end()
        self._close_if_unheard()

    def _open(self) -> None:
        if self._ring:
            return
        self._callback = libbpf.RING_CALLBACK(self._received)
        ring = self._library.ring_buffer__new(self._engine.events_fd, self._callback, None, None)
        self._ring = libbpf.check_pointer(ring, "ring of events")
        asyncio.get_running_loop().add_reader(self._library.ring_buffer__epoll_fd(self._ring), self._consume)
        self._engine.control.listening = 1

    def _consume(self) -> None:
        self._library.ring_buffer__consume(self._ring)
        self._close_if_unheard()

    def _close_if_unheard(self) -> None:
        if self._ring and all(stream.is_over for streams in self._streams.values() for stream in streams):
            self._engine.control.listening = 0
            asyncio.get_running_loop().remove_reader(self._library.ring_buffer__epoll_fd(self._ring))
            self._library.ring_buffer__free(self._ring)
            self._ring = 0
            self._callback = None

    def _received(self, _context: int, data: int, size: int) -> int:
        raw = wire.WireEvent.from_buffer_copy(ctypes.string_at(data, size))
        for stream in self._streams.get(raw.session, ()):
            if not stream.is_over and not stream.put(_event(raw)):
                self.dropped += 1
        return 0


def _event(raw: wire.WireEvent) -> Event:
    kind = wire.EVENTS.get(raw.kind, "unknown")
    age_s = (time.monotonic_ns() - raw.time_ns) / 1e9
    return Event(
        kind=kind,
        epoch_s=time.time() - age_s,
        pid=raw.pid,
        tid=raw.tid,
        child_pid=raw.child if kind == "fork" else None,
        exit_status=os.waitstatus_to_exitcode(raw.exit_code) if kind == "exit" else None,
        comm=scrub_bytes(raw.comm),
    )
