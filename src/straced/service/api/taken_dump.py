"""A dump of the flight recorder on its way to the client, who asks for it piece by piece, as for a trace."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import structs

from straced.errors import OutputError
from straced.linux.credentials import Peer
from straced.model.types import Target
from straced.records.reader import RecordFile
from straced.records.redacting import write_redacted
from straced.service.flight_keeper import FlightKeeper
from straced.service.flight_rights import choose_for
from straced.tracers.base import Ending
from straced.tracers.ebpf.flight_file import Dumped


class TakenDump:
    """A file without a name, with the face of a recording that is over; closed with its spool.

    Args:
        target: whose calls it has.
        dumped: what is in it.
        fd: the file.
    """

    def __init__(self, target: Target, dumped: Dumped, fd: int) -> None:
        self.target = target
        self.dumped = dumped
        self.readers = [fd]
        self.dropped_lines = 0
        self._let_go = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether there is something to be read of it."""
        return not self._let_go.is_set()

    async def wait(self) -> Ending:
        """Until it was read, or nobody wants it any more: until then it counts as a session of its user."""
        await self._let_go.wait()
        return Ending(reason="dump")

    def request_stop(self) -> None:
        """Nobody wants it any more."""
        self._let_go.set()

    async def stop(self) -> Ending:
        """The same."""
        self.request_stop()
        return await self.wait()


async def take_dump(
    keeper: FlightKeeper,
    target: Target,
    peer: Peer | None,
    last_ns: int | None,
    folder: Path,
    most_bytes: int | None,
    *,
    redacted: bool = False,
) -> TakenDump:
    """Have the recorder write down what a user may see of a process.

    Args:
        keeper: has the recorder.
        target: the process.
        peer: the user; ``None`` for one who sees all.
        last_ns: only calls that ended so long before, or later.
        folder: on whose disk it waits for its reader.
        most_bytes: of it.
        redacted: without secrets.

    Raises:
        TracerUnavailable, InvalidArgument, NotPermitted, NoSuchProcess: there is nothing for them.
        OutputError: there is no room for it.
    """
    with nameless(folder) as file:
        choose, sees_all = choose_for(peer, target.pid), peer is None or peer.is_root
        dumped = await keeper.dump(file.fileno(), target.pid, choose, last_ns, most_bytes, sees_all=sees_all)
        if redacted:
            with nameless(folder) as clean:
                size = await asyncio.to_thread(_clean_copy, file, clean)
                dumped, fd = structs.replace(dumped, bytes=size), os.dup(clean.fileno())
        else:
            fd = os.dup(file.fileno())
    os.lseek(fd, 0, os.SEEK_SET)
    return TakenDump(target, dumped, fd)


def _clean_copy(file: BinaryIO, to: BinaryIO) -> int:
    try:
        write_redacted(RecordFile(Path(f"/proc/self/fd/{file.fileno()}")), to)
        to.flush()
    except OSError as error:
        raise OutputError(f"the service has no room for a dump: {error.strerror}") from error
    return to.tell()


def nameless(folder: Path) -> BinaryIO:
    """Open a file that nobody else can.

    Args:
        folder: on whose disk; it is made if need be.

    Raises:
        OutputError: there is no room.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))
    except OSError as error:
        raise OutputError(f"the service has no room for records: {error.strerror}") from error
