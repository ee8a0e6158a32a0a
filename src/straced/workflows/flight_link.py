"""How ``straced dump`` in another shell reaches a flight recorder: a socket each, in a directory of its user alone.

One request, one answer, each a line of JSON. The file that is to be written comes along as a descriptor, so that
whoever asks writes with their own rights. Nobody but the recorder's user and root is listened to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from straced.config import paths
from straced.errors import StracedError
from straced.ipc.socket_directory import make_folder

_MOST_BYTES = 65536
_REQUEST_S = 10.0
_ANSWER_S = 120.0
_CREDENTIALS = struct.Struct("3i")


class DumpRequest(Struct, frozen=True, kw_only=True):
    """Whose calls, and how much of them."""

    pids: tuple[int, ...]
    last_ns: int | None = None
    min_free_bytes: int | None = None


class DumpAnswer(Struct, frozen=True, kw_only=True):
    """What was written; or why nothing was."""

    held: bool
    """Whether the recorder keeps calls of one of them at all."""
    bytes: int = 0
    calls: int = 0
    span_ns: int = 0
    exact: bool = True
    error: str = ""
    hint: str = ""


class RecorderGone(StracedError):
    """The recorder ended while it was asked."""

    exit_code = 6
    code = "recorder_gone"


Answer = Callable[[DumpRequest, int], Awaitable[DumpAnswer]]


def folder() -> Path:
    """Where the sockets of this user's recorders are."""
    runtime = paths.of().runtime
    return runtime.with_name(f"{runtime.name}-recorders")


class RecorderSocket:
    """Listens until it is closed.

    Args:
        answer: told the request, and the descriptor that the dump goes to; it stays ours.

    Raises:
        SocketTaken: the directory is not this user's alone.
        OSError: the kernel refuses.
    """

    def __init__(self, answer: Answer) -> None:
        make_folder(folder(), system=False)
        self.path = folder() / f"{os.getpid()}.sock"
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()  # of a recorder that was killed, whose pid we have
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen(8)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._accept)

    async def close(self) -> None:
        """Listen no more; what was asked is answered."""
        self._loop.remove_reader(self._socket.fileno())
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._socket.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        try:
            client, _address = self._socket.accept()
        except OSError:
            return
        task = asyncio.create_task(self._serve(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        with client:
            _pid, uid, _gid = _CREDENTIALS.unpack(
                client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if uid not in (0, os.geteuid()):
                return
            client.settimeout(_REQUEST_S)
            descriptors: list[int] = []
            try:
                request = await asyncio.to_thread(_receive, client, descriptors)
                if descriptors:
                    answer = await self._answer(request, descriptors[0])
                    await asyncio.to_thread(client.sendall, msgspec.json.encode(answer) + b"\n")
            except (OSError, msgspec.MsgspecError):
                return  # whoever asked is gone, or did not ask as we do
            finally:
                for fd in descriptors:
                    os.close(fd)


def _receive(client: socket.socket, descriptors: list[int]) -> DumpRequest:
    data = b""
    while not data.endswith(b"\n"):
        piece, found, _flags, _address = socket.recv_fds(client, _MOST_BYTES, 1)
        descriptors += found
        data += piece
        if not piece or len(data) > _MOST_BYTES:
            raise OSError("no request")
    return msgspec.json.decode(data, type=DumpRequest)


def ask(request: DumpRequest, fd: int) -> DumpAnswer | None:
    """Ask every recorder of this user until one holds calls of the processes; ``None``: none does.

    Args:
        request: what is wanted.
        fd: an empty file that is written.

    Raises:
        RecorderGone: it ended in the middle of it.
    """
    try:
        found = sorted(folder().glob("*.sock"))
    except OSError:
        return None
    for path in found:
        answer = _ask_one(path, request, fd)
        if answer is not None and answer.held:
            return answer
    return None


def _ask_one(path: Path, request: DumpRequest, fd: int) -> DumpAnswer | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(_ANSWER_S)
        try:
            link.connect(str(path))
        except OSError:  # of a recorder that was killed
            return None
        data = b""
        try:
            socket.send_fds(link, [msgspec.json.encode(request) + b"\n"], [fd])
            while not data.endswith(b"\n"):
                piece = link.recv(_MOST_BYTES)
                if not piece:
                    raise RecorderGone("the recorder ended before it had answered")
                data += piece
            return msgspec.json.decode(data, type=DumpAnswer)
        except (OSError, msgspec.MsgspecError) as error:
            raise RecorderGone(f"the recorder does not answer: {error}") from error
