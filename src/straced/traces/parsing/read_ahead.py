"""Reads the next blocks of a trace in a thread, while the last one is looked at."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

_MOST_BLOCKS = 3


class ReadAhead:
    """An iterator over the blocks of another one, which a thread asks for them. What that raises is raised here."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._read: queue.Queue[bytes | BaseException | None] = queue.Queue(_MOST_BLOCKS)
        self._left = False
        self._thread = threading.Thread(target=self._serve, name="straced-reading", daemon=True)
        self._thread.start()

    @classmethod
    def started(cls, blocks: Iterator[bytes]) -> ReadAhead | None:
        """Return a new one; ``None`` where no thread can be had."""
        try:
            return cls(blocks)
        except RuntimeError:
            return None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._read.get()
        if isinstance(block, bytes):
            return block
        self._read.put(block)  # asked once more, it says the same
        if block is None:
            raise StopIteration
        raise block

    def close(self) -> None:
        """Let the thread end. It is not waited for long: a pipe may be silent."""
        self._left = True
        while not self._read.empty():
            self._read.get()
        self._thread.join(timeout=1.0)

    def _serve(self) -> None:
        try:
            for block in self._blocks:
                if self._left:
                    return
                self._read.put(block)
            self._read.put(None)
        except BaseException as failure:  # raised again where the blocks go
            self._read.put(failure)
