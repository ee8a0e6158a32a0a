"""Forks, execs and exits, from the kernel's ring to async iterators."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import AsyncIterator

from straced.model.types import Event
from straced.text.sanitize import scrub_bytes
from straced.tracers.ebpf import libbpf, wire
from straced.tracers.ebpf.engine import Engine

_QUEUE_LIMIT = 100_000


class Events:
    """The ring of one engine. The kernel writes into it only while somebody listens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._library = libbpf.load()
        self._ring = 0
        self._callback: object = None
        """While the ring is open; it holds us, so that it must not be kept longer."""
        self._queues: dict[int, list[asyncio.Queue[Event | None]]] = {}
        self.dropped = 0
        """Events that a listener was too slow for."""

    @property
    def lost(self) -> int:
        """Events that found the ring full, or a listener too slow."""
        return int(self._engine.control.lost_events) + self.dropped

    async def listen(self, session: int) -> AsyncIterator[Event]:
        """Events of a session as they come, until it is closed."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUE_LIMIT)
        self._queues.setdefault(session, []).append(queue)
        self._open()
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            queues = self._queues.get(session, [])
            if queue in queues:
                queues.remove(queue)
            if not any(self._queues.values()):
                self._close()

    def end(self, session: int) -> None:
        """Tell the listeners of a session that nothing more will come."""
        if self._ring:
            self._library.ring_buffer__consume(self._ring)
        for queue in self._queues.pop(session, []):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        if not any(self._queues.values()):
            self._close()

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

    def _close(self) -> None:
        if self._ring:
            self._engine.control.listening = 0
            asyncio.get_running_loop().remove_reader(self._library.ring_buffer__epoll_fd(self._ring))
            self._library.ring_buffer__free(self._ring)
            self._ring = 0
            self._callback = None

    def _received(self, _context: int, data: int, size: int) -> int:
        raw = wire.WireEvent.from_buffer_copy(ctypes.string_at(data, size))
        for queue in self._queues.get(raw.session, ()):
            if queue.full():
                self.dropped += 1
            else:
                queue.put_nowait(_event(raw))
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
