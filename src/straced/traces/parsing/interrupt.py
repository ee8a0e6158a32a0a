"""Ctrl-C while a trace is read: the input ends in good order, and what was read is reported."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

from straced.concurrency import interrupts

GRACE_S = 5.0
"""How long a writer may be silent after Ctrl-C before its pipe counts as ended. strace detaches within 3 s."""
_LOOK_MS = 200


class InterruptHandler:
    """Takes SIGINT while it is entered, in the main thread.

    A file ends at the first. A pipe goes on to its end, for its writer got the signal as well, and still has lines to
    write; it ends at the second, or when the writer is silent. One more raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.presses = 0
        self._heard = 0.0
        self._before: Any = None
        """The handler that this one stands in for."""

    def __enter__(self) -> Self:
        ours = threading.current_thread() is threading.main_thread()
        if ours and interrupts.is_default(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        self.presses += 1
        self._heard = time.monotonic()
        if self.presses > 2:
            raise KeyboardInterrupt

    def silent(self, *, heard: bool = False) -> bool:
        """Return whether to give up a pipe; ``heard``: data has just arrived."""
        if heard:
            self._heard = time.monotonic()
        return self.presses > 1 or (self.presses == 1 and time.monotonic() - self._heard > GRACE_S)


class InterruptiblePipe:
    """Reads a pipe whose writer may never close it."""

    def __init__(self, fd: int, stop: InterruptHandler, *, owned: bool = False) -> None:
        self._fd = fd
        self._owned = owned
        self._stop = stop
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self.left = False
        """Whether reading was given up before the end."""

    def close(self) -> None:
        """Close the descriptor, if it was opened for this reader."""
        if self._owned:
            self._owned = False
            os.close(self._fd)

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end, or when reading is given up."""
        while not self._stop.silent():
            if self._poll.poll(_LOOK_MS):
                self._stop.silent(heard=True)
                return os.read(self._fd, size)
        self.left = True
        return b""
