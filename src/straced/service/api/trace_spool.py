"""A full trace on its way to the client, who asks for it piece by piece.

Behind the pipes that are read here the guard keeps what nobody has asked for yet, in a bounded file of its own, so that
strace never waits. A client that stays behind for more than that ends its trace, not the target, and nobody's disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence

CHUNK = 1 << 16
MAX_LINE = 1 << 20
"""A longer line may be torn by one of another strace of the same trace."""


class Spool:
    """What the straces of one trace write, whole lines of each.

    Args:
        readers: pipes of the guard, one a strace; closed here.
    """

    def __init__(self, readers: Sequence[int]) -> None:
        self._rests: dict[int, bytes] = dict.fromkeys(readers, b"")
        self._lock = asyncio.Lock()
        for fd in readers:
            os.set_blocking(fd, False)

    async def read(self, most: int) -> bytes:
        """Up to about ``most`` bytes, as soon as there are any; empty when the trace is over and all of it was read."""
        async with self._lock:
            while self._rests:
                data = self._take(most)
                if data or not self._rests:
                    return data
                await self._readable()
            return b""

    def _take(self, most: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        for fd in list(self._rests):
            while length < most and fd in self._rests:
                try:
                    data = os.read(fd, CHUNK)
                except BlockingIOError:
                    break
                parts.append(self._whole_lines(fd, data))
                length += len(parts[-1])
        return b"".join(parts)

    def _whole_lines(self, fd: int, data: bytes) -> bytes:
        if not data:
            os.close(fd)
            return self._rests.pop(fd)
        data = self._rests[fd] + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > MAX_LINE:
            end = len(data)
        self._rests[fd] = data[end:]
        return data[:end]

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        watched = list(self._rests)
        for fd in watched:
            loop.add_reader(fd, ready.set)
        try:
            await ready.wait()
        finally:
            for fd in watched:
                if fd in self._rests:
                    loop.remove_reader(fd)

    def close(self) -> None:
        """Read no more: the guard lets go of the target."""
        loop = asyncio.get_running_loop()
        for fd in list(self._rests):
            loop.remove_reader(fd)
            with contextlib.suppress(OSError):
                os.close(fd)
        self._rests.clear()
