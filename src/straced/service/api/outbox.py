"""What a client has not read yet: frames that wait, written whenever its socket takes them."""

from __future__ import annotations

import asyncio
import collections
import os
from collections.abc import Callable


class Outbox:
    """Frames on their way to one client. The loop calls back; nothing here blocks.

    Args:
        fd: what is written to, in non-blocking mode.
        hold: told how many bytes wait more, or less, than before; it may close this.
        drained: called when nothing waits any more.
        broken: called when the client is gone.
    """

    def __init__(
        self, fd: int, hold: Callable[[int], None], drained: Callable[[], None], broken: Callable[[], None]
    ) -> None:
        self.queued = 0
        """Bytes of the frames that are not out as a whole."""
        self._fd = fd
        self._hold = hold
        self._drained = drained
        self._broken = broken
        self._frames: collections.deque[bytes] = collections.deque()
        self._sent = 0
        self._waits_for_room = False
        self._open = True
        self._loop = asyncio.get_running_loop()

    def send(self, frame: bytes) -> None:
        """Write a frame, or keep it until there is room."""
        if not self._open:
            return
        self._frames.append(frame)
        self.queued += len(frame)
        self._hold(len(frame))
        if self._open and not self._waits_for_room:
            self._flush()

    def forget(self) -> None:
        """Drop what waits, but for the rest of a frame whose beginning is out already."""
        kept = [self._frames[0][self._sent :]] if self._sent and self._frames else []
        self._frames, self._sent = collections.deque(kept), 0
        self.queued = sum(map(len, kept))

    def close(self) -> None:
        """Write no more, and hold on to nobody. Idempotent."""
        self._open = False
        self._hold, self._drained, self._broken = _of_nobody, _nothing, _nothing
        if self._waits_for_room:
            self._waits_for_room = False
            self._loop.remove_writer(self._fd)
        self._frames.clear()

    def _flush(self) -> None:
        try:
            while self._frames:
                self._sent += os.write(self._fd, memoryview(self._frames[0])[self._sent :])
                if self._sent == len(self._frames[0]):
                    self._drop_first()
        except BlockingIOError:
            if not self._waits_for_room:
                self._waits_for_room = True
                self._loop.add_writer(self._fd, self._flush)
            return
        except OSError:
            self._broken()
            return
        if self._waits_for_room:
            self._waits_for_room = False
            self._loop.remove_writer(self._fd)
        self._drained()

    def _drop_first(self) -> None:
        length = len(self._frames.popleft())
        self.queued -= length
        self._sent = 0
        self._hold(-length)


def _of_nobody(more: int) -> None:
    pass


def _nothing() -> None:
    pass
