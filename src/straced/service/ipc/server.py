"""Listens: who may connect, how many, and what each is told."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from pathlib import Path

from straced.config import Ipc
from straced.errors import NotPermitted, StracedError
from straced.service import authorisation
from straced.service.ipc import protocol
from straced.service.ipc.connection import Connection, Handler

log = logging.getLogger("straced.service")
BACKLOG = 256
BACK_OFF_S = 0.2


class SocketTaken(StracedError):
    """The path of the socket is something else, or cannot be made."""

    exit_code = 6
    code = "socket_taken"


class Server:
    """The listening socket and its clients.

    Args:
        path: of the socket.
        system: whether it serves all users; every request is authorised by itself then.
        limits: how many clients.
        handle: answers a request.
    """

    def __init__(self, path: Path, *, system: bool, limits: Ipc, handle: Handler) -> None:
        self.path = path
        self.limits = limits
        self.clients: list[Connection] = []
        self.refused = 0
        self._system = system
        self._handle = handle
        self._listener: socket.socket | None = None
        self._beat: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen. The caller holds the lock of the service, so that a socket that is there already is a dead one's.

        Raises:
            SocketTaken: the path is no socket, or nothing can be made there.
        """
        folder_mode, mode = (0o755, 0o666) if self._system else (0o700, 0o600)
        try:
            self._make_folder(folder_mode)
            if self.path.is_socket():
                self.path.unlink()
            elif self.path.exists() or self.path.is_symlink():
                raise SocketTaken(
                    f"{self.path} is there, and is no socket", hint="remove it, or name another: ipc.socket"
                )
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            before = os.umask(0o777 & ~mode)  # the mode is right from the first moment on, no chmod after it
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(before)
            listener.listen(BACKLOG)
        except OSError as error:
            raise SocketTaken(f"{self.path}: {error.strerror or error}", hint="name another: ipc.socket") from error
        self._listener = listener
        loop = asyncio.get_running_loop()
        loop.add_reader(listener.fileno(), self._accept)
        self._beat = loop.create_task(self._heartbeats())

    def _make_folder(self, mode: int) -> None:
        folder = self.path.parent
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            before = os.umask(0)
            try:
                folder.mkdir(mode=mode)
            finally:
                os.umask(before)
        found = folder.stat()
        if not self._system and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
            raise SocketTaken(
                f"{folder} is not yours alone", hint=f"chmod 0700 {folder}, or name another place: ipc.socket"
            )

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(BACKLOG):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    self._back_off()
                return
            self._welcome(sock)

    def _back_off(self) -> None:
        """No descriptor is left: accept nobody for a moment, so that the loop is not busy with refusing."""
        listener = self._listener
        if listener is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())
        loop.call_later(BACK_OFF_S, lambda: self._listener and loop.add_reader(listener.fileno(), self._accept))

    def _welcome(self, sock: socket.socket) -> None:
        try:
            peer = authorisation.peer_of(sock)
        except OSError:
            sock.close()
            return
        mine = sum(client.peer.uid == peer.uid for client in self.clients)
        refusal: StracedError | None = None
        if not self._system and peer.uid not in (0, os.geteuid()):
            refusal = NotPermitted("this service is another user's", uid=os.geteuid())
        elif len(self.clients) >= self.limits.max_clients:
            refusal = protocol.TooMuch(f"the service has {len(self.clients)} clients already", hint="try again later")
        elif mine >= self.limits.max_clients_per_user:
            refusal = protocol.TooMuch(f"you have {mine} connections already", hint="close some")
        if refusal is not None:
            self.refused += 1
            with contextlib.suppress(OSError):
                sock.setblocking(False)
                sock.send(protocol.refusal(None, refusal), socket.MSG_NOSIGNAL)
            sock.close()
            return
        log.debug("client", extra={"straced": {"pid": peer.pid, "uid": peer.uid}})
        self.clients.append(Connection(sock, peer, self._handle, self._gone))

    def _gone(self, client: Connection) -> None:
        if client in self.clients:
            self.clients.remove(client)

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(protocol.HEARTBEAT_S)
            for client in list(self.clients):
                if client.topics:
                    client.notify(protocol.notification("heartbeat", {}))

    def publish(self, topic: str, frame_for: object) -> None:
        """Tell those who subscribed; ``frame_for(peer)`` makes the frames for one of them."""
        assert callable(frame_for)
        for client in list(self.clients):
            if topic in client.topics:
                for frame in frame_for(client.peer):
                    client.notify(frame)

    def close(self) -> None:
        """Stop listening, and close all clients."""
        if self._beat is not None:
            self._beat.cancel()
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()
            with contextlib.suppress(OSError):
                self.path.unlink()
        for client in list(self.clients):
            client.close()
