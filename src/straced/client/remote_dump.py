"""A dump of the service's flight recorder, written here by its client: no descriptor ever goes to the service."""

from __future__ import annotations

import asyncio
import os

from straced.client.connection import Channel
from straced.errors import OutputError
from straced.ipc import messages
from straced.linux.output_file import OutputFile
from straced.text.units import format_bytes
from straced.tracers.strace import free_space


async def dump_into(
    client: Channel, params: messages.DumpParams, file: OutputFile, min_free_bytes: int | None
) -> messages.DumpTaken:
    """Have it written, and give the file its name; of what fails no file is left.

    Args:
        client: the connection.
        params: what is wanted.
        file: of the caller's; closed here.
        min_free_bytes: to leave free on its disk.

    Raises:
        OutputError: there is no room for it.
        StracedError: what the service refused with, as its own type.
    """
    with file:
        floor = free_space.floor_bytes(file.fd, min_free_bytes)
        taken = await client.request("dump", params, messages.DumpTaken, timeout_s=None)
        session = messages.SessionParams(session=taken.session)
        free = free_space.free_bytes(os.fstatvfs(file.fd))
        try:
            if floor is not None and free is not None and free < taken.bytes + floor:
                raise OutputError(f"the disk has no room for a dump of {format_bytes(taken.bytes)}")
            while data := (await client.request("trace.read", session, messages.TracePiece, timeout_s=None)).data:
                await asyncio.to_thread(_write, file.fd, data)
        finally:
            await client.request("session.detach", session, messages.Ended, timeout_s=None)
        return taken


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise OutputError(f"the dump could not be written: {error.strerror}", hint="write it elsewhere") from error
