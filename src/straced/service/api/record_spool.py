"""A full trace by records on its way to the client, who asks for it piece by piece; nobody here looks at a record.

What waits is in a file without a name. A client that stays behind for more than that file may have loses records, which
the end of the trace has counted; neither the target nor the service waits for them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import BinaryIO

from straced.linux.scratch_file import give_back
from straced.profiling.kernel_recording import KernelRecording

_PAUSE_S = 0.05


class NamelessOutput:
    """The file of a trace that has no name.

    Args:
        file: empty.
    """

    path = None

    def __init__(self, file: BinaryIO) -> None:
        self.fd = file.fileno()

    def commit(self) -> None:
        """There is no name to give."""


class RecordSpool:
    """What the recording writes, in the order of the file.

    Args:
        recording: whose.
        file: where it writes to; closed here, once nobody writes to it.
        done: called then, once.
    """

    def __init__(self, recording: KernelRecording, file: BinaryIO, done: Callable[[], None]) -> None:
        self._recording = recording
        self._file = file
        self._position = 0
        self._closed = False
        self._done = done
        self._gone = asyncio.Event()
        self._lock = asyncio.Lock()
        self._open = threading.Lock()
        """Held while a piece is read and its room given back: a number that was closed is soon another file's."""

    @property
    def waits(self) -> bool:
        """Whether its file is on the disk."""
        return not self._gone.is_set()

    async def read(self, most: int) -> bytes:
        """Up to ``most`` bytes, as soon as there are any; empty when the trace is over and all of it was read."""
        async with self._lock:
            while not self._closed:
                over = not self._recording.alive  # before the look at the file: it is complete then
                ready = min(most, self._recording.bytes_written - self._position)
                if ready > 0:
                    return await asyncio.to_thread(self._take, ready)
                if over:
                    self.close()
                    break
                await asyncio.sleep(_PAUSE_S)
            return b""

    def _take(self, count: int) -> bytes:
        before = self._position
        with self._open:
            if self._file.closed:  # the client has gone meanwhile
                return b""
            data = os.pread(self._file.fileno(), count, before)
            self._position = before + len(data)
            self._recording.read_up_to(self._position)
            give_back(self._file.fileno(), before, self._position)
        return data

    def close(self) -> None:
        """Read no more."""
        if not self._closed:
            self._closed = True
            self._recording.when_over(self._give_up_file)

    def _give_up_file(self) -> None:
        with self._open:
            self._file.close()
        self._gone.set()
        self._done()

    async def wait(self) -> None:
        """Until all of it was read, or nobody wants it any more, and nothing of it is on the disk."""
        await self._gone.wait()
