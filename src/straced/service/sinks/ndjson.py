"""Samples, events and alerts as NDJSON into a file that is rotated, written by a thread of its own."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import threading
from pathlib import Path

import msgspec

from straced.config import schema
from straced.linux.kept_file import open_kept
from straced.model.alerts import AlertRow
from straced.model.tick import ServiceEvent, Tick

log = logging.getLogger("straced.service")
MAX_WAITING = 200


class NdjsonSink:
    """The stream; without a path it does nothing.

    Args:
        wanted: path, size, and how many old files.
    """

    def __init__(self, wanted: schema.StreamConfig) -> None:
        self._wanted = wanted
        self._lines: collections.deque[bytes] = collections.deque()
        self._wake = threading.Condition()
        self._closing = False
        self._failed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self._unsaid = 0

    def configure(self, wanted: schema.StreamConfig) -> None:
        """Write elsewhere from now on."""
        with self._wake:
            self._wanted = wanted

    def tick(self, tick: Tick) -> None:
        """A line with all of a tick."""
        if self._wanted.path:
            self._put(b'{"type":"tick","tick":%s}\n' % msgspec.json.encode(tick))

    def event(self, event: ServiceEvent) -> None:
        """A line with an event."""
        if self._wanted.path:
            self._put(b'{"type":"event","event":%s}\n' % msgspec.json.encode(event))

    def alert(self, alert: AlertRow) -> None:
        """A line with an alert as it stands."""
        if self._wanted.path:
            self._put(b'{"type":"alert","alert":%s}\n' % msgspec.json.encode(alert))

    def _put(self, line: bytes) -> None:
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="straced-stream", daemon=True)
                self._thread.start()
            self._lines.append(line)
            if len(self._lines) > MAX_WAITING:
                self._lines.popleft()
                self.dropped += 1
                self._unsaid += 1
            self._wake.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what waits."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._lines and not self._closing:
                    self._wake.wait()
                lines = list(self._lines)
                self._lines.clear()
                gap, self._unsaid = self._unsaid, 0
                if not lines and self._closing:
                    return
            try:
                self._write((b'{"type":"gap","dropped":%d}\n' % gap if gap else b"") + b"".join(lines))
                self._failed = False
            except OSError as error:
                self.dropped += len(lines)
                with self._wake:
                    self._unsaid += gap + len(lines)
                if not self._failed:
                    log.warning("stream_stopped", extra={"straced": {"path": self._wanted.path, "why": str(error)}})
                self._failed = True

    def _write(self, data: bytes) -> None:
        path = Path(self._wanted.path)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size + len(data) > self._wanted.max_bytes:
                self._rotate(path)
        with open(open_kept(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0) as file:
            file.write(data)

    def _rotate(self, path: Path) -> None:
        for number in range(self._wanted.files, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
