"""A full trace that the service takes, written here by its client: no descriptor ever goes to the service."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from straced.client.connection import Channel
from straced.concurrency.shielding import carry
from straced.ipc import messages
from straced.linux.output_file import OutputFile
from straced.model.types import Target
from straced.tracers.base import Ending
from straced.tracers.strace import free_space


class RemoteTrace:
    """Tell how a full trace by the service goes on its way into a file; made by :meth:`Client.trace`.

    It is as :class:`straced.Recording`, and ends with the connection. Leaving it as an ``async with`` block stops it.

    Args:
        client: the connection.
        attached: what the service has begun.
        file: of the caller's, committed; closed here.
        floor: room that is left on its disk, in bytes; ``None``: it has no limit.
    """

    def __init__(self, client: Channel, attached: messages.Attached, file: OutputFile, floor: int | None) -> None:
        self.target: Target = attached.target
        """The process, as it was at the attach."""
        self.tracer: str = attached.tracer
        """The tracer that writes it."""
        self.tracer_reason: str = attached.tracer_reason
        """Why that one."""
        self.path: Path = file.path
        """The file."""
        self.dropped_lines = 0
        """Lines that are missing since they were written faster than they were read; known at the end."""
        self._client = client
        self._params = messages.SessionParams(session=attached.session)
        self._file = file
        self._floor = floor
        self._cut: str | None = None
        self._writing: asyncio.Future[None] | None = None
        self._over = client.work(self._run())
        self._over.add_done_callback(lambda _: file.close())  # also when it is cancelled before its first step

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as the service has told."""
        return not self._over.done()

    async def wait(self) -> Ending:
        """Wait until the trace is over, and all of it stands in the file.

        Returns:
            Why it is over.

        Raises:
            ServiceUnreachable: the service went away, or the connection was closed; what had come is in the file.
            StracedError: what the service refused with, as its own type.
        """
        return await self._client.outcome(self._over)

    async def stop(self) -> Ending:
        """Let go of the target, which runs on in the state that it was in; the file stays. Idempotent.

        Once begun it is done, whether or not the caller is cancelled.

        Returns:
            Why the trace is over.

        Raises:
            ServiceUnreachable: the service went away.
            StracedError: what the service refused with, as its own type.
        """
        return await carry(self._stop())

    async def _stop(self) -> Ending:
        if not self._over.done():
            await self._client.request("session.detach", self._params, messages.Ended, timeout_s=None)
        return await self.wait()

    async def _run(self) -> Ending:
        while data := await self._read():
            if self._cut is None:
                await self._write(data)
        ended = await self._client.request("session.wait", self._params, messages.Ended, timeout_s=None)
        self.dropped_lines = ended.dropped_lines
        return Ending(reason=self._cut or ended.reason, exit_status=ended.exit_status)

    async def _read(self) -> bytes:
        piece = await self._client.request("trace.read", self._params, messages.TracePiece, timeout_s=None)
        return piece.data

    async def _write(self, data: bytes) -> None:
        """Write whole lines; when there is no room for them, the trace ends and what stands in the file stays."""
        try:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write_all, data))
            try:
                await asyncio.shield(self._writing)
            except asyncio.CancelledError:
                await asyncio.wait({self._writing})  # the descriptor is closed afterwards
                raise
        except OSError as error:
            self._end("file_limit" if error.errno == errno.EFBIG else "disk_full")

    def _write_all(self, data: bytes) -> None:
        if self._floor is not None:
            space = os.fstatvfs(self._file.fd)
            free = free_space.free_bytes(space)
            if free is not None and free - len(data) - 2 * space.f_frsize < self._floor:  # it takes whole blocks
                raise OSError(errno.ENOSPC, "no room is left")
        before = os.fstat(self._file.fd).st_size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file.fd, view) :]
        except OSError:
            whole = data.rfind(b"\n", 0, len(data) - len(view)) + 1
            os.ftruncate(self._file.fd, before + whole)  # no torn line
            raise

    def _end(self, why: str) -> None:
        self._cut = why
        detach = self._client.request("session.detach", self._params, messages.Ended, timeout_s=None)
        self._client.work(detach)  # it is answered when the rest has been read


async def abandon(trace: RemoteTrace) -> None:
    """Let go of the target, and leave no file: whoever asked for the trace was cancelled."""
    trace._cut = "detached"
    if trace._writing is not None:
        await asyncio.wait({trace._writing})
    trace._file.discard()
    await trace.stop()
