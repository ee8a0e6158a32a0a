"""A full trace that the service takes, written here by its client: no descriptor ever goes to the service."""

from __future__ import annotations

import asyncio
import errno
import os

from straced.client.connection import Channel
from straced.concurrency.shielding import carry
from straced.ipc import messages
from straced.linux.output_file import OutputFile
from straced.tracers.strace import free_space


class RemoteTrace:
    """A full trace on its way into a file.

    Args:
        file: of the caller's, committed; closed here.
        floor: room that is left on its disk, in bytes; ``None``: it has no limit.
    """

    def __init__(self, client: Channel, attached: messages.Attached, file: OutputFile, floor: int | None) -> None:
        self.target = attached.target
        self._client = client
        self._params = messages.SessionParams(session=attached.session)
        self._file = file
        self._floor = floor
        self._cut: str | None = None
        self._writing: asyncio.Future[None] | None = None
        self._work = asyncio.create_task(self._run())
        client.works.add(self._work)
        self._work.add_done_callback(client.works.discard)
        self._work.add_done_callback(_seen)
        self._work.add_done_callback(lambda _: file.close())  # also when it is cancelled before its first step

    async def wait(self) -> messages.Ended:
        """Until it is over, and all of it stands in the file.

        Raises:
            ServiceUnreachable: the service went away; what came until then is in the file.
        """
        return await asyncio.shield(self._work)

    async def stop(self) -> messages.Ended:
        """Let go of the target; the file stays."""
        return await carry(self._stop())

    async def _stop(self) -> messages.Ended:
        if not self._work.done():
            await self._client.request("session.detach", self._params, messages.Ended, timeout_s=None)
        return await self.wait()

    async def _run(self) -> messages.Ended:
        while data := await self._read():
            if self._cut is None:
                await self._write(data)
        ended = await self._client.request("session.wait", self._params, messages.Ended, timeout_s=None)
        if self._cut is not None:
            ended = messages.Ended(reason=self._cut, exit_status=ended.exit_status, dropped_lines=ended.dropped_lines)
        return ended

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
        task = asyncio.create_task(detach)  # it is answered when the rest has been read
        self._client.works.add(task)
        task.add_done_callback(self._client.works.discard)
        task.add_done_callback(_seen)


async def abandon(trace: RemoteTrace) -> None:
    """Let go of the target, and leave no file: whoever asked for the trace was cancelled."""
    trace._cut = "detached"
    if trace._writing is not None:
        await asyncio.wait({trace._writing})
    trace._file.discard()
    await trace.stop()


def _seen(task: asyncio.Task[messages.Ended]) -> None:
    """An error is told to whoever waits, if anybody does."""
    if not task.cancelled():
        task.exception()
