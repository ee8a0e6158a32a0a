"""The clients of the service: who may connect, how many, and what each is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
from pathlib import Path

from straced.config.schema import Ipc
from straced.errors import NotPermitted, StracedError
from straced.ipc import protocol
from straced.ipc.socket_directory import SocketTaken, make_folder
from straced.linux.credentials import Peer
from straced.linux.passed_descriptors import refuse_descriptors
from straced.service.api.accounts import Account, Accounts
from straced.service.api.connection import Connection, Handler
from straced.service.api.door import ClientAcceptor
from straced.service.api.link import Link
from straced.service.api.listening import Listener
from straced.service.api.receivers import Receivers
from straced.service.daemon.lock import ServiceLock

__all__ = ["Server", "SocketTaken", "log"]
log = logging.getLogger("straced.service")
FEW = 4
"""A user with fewer connections may have one of those that are reserved for users."""


class Server:
    """The clients, and the door by which they come.

    Args:
        path: of the socket.
        system: whether it serves all users; every request is authorised by itself then.
        limits: how many clients.
    """

    def __init__(self, path: Path, *, system: bool, limits: Ipc) -> None:
        self.path = path
        self.limits = limits
        self.clients: list[Connection] = []
        self.accounts = Accounts(lambda: self.limits, os.geteuid())
        self.refused = 0
        self._system = system
        self._handle: Handler
        self._lock: ServiceLock | None = None
        self._door: ClientAcceptor | None = None
        self._beat: asyncio.Task[None] | None = None

    def start(self, handle: Handler) -> None:
        """Listen. The socket has a lock of its own: one that is there already is a dead service's.

        Args:
            handle: answers a request.

        Raises:
            SocketTaken: the path is no socket, or nothing can be made there.
            AlreadyRunning: another service has this socket.
        """
        self._handle = handle
        make_folder(self.path.parent, system=self._system)
        try:
            self._lock = ServiceLock(self.path.with_name(f"{self.path.name}.lock"), "the socket").__enter__()
            self._door = self._open()
        except OSError as error:
            raise SocketTaken(f"{self.path}: {error.strerror or error}", hint="choose another: ipc.socket") from error
        self._beat = asyncio.get_running_loop().create_task(self._heartbeats())

    def _open(self) -> ClientAcceptor:
        if self.path.is_socket():
            self.path.unlink()
        elif self.path.exists() or self.path.is_symlink():
            raise SocketTaken(
                f"{self.path} exists and is not a socket", hint="remove it, or choose another: ipc.socket"
            )
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        safe = refuse_descriptors(sock) or not self._system
        before = os.umask(0o777 & ~(0o666 if self._system else 0o600))  # right from the first moment on, no chmod
        try:
            sock.bind(str(self.path))
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(before)
        return Listener(sock, self) if safe else Receivers(sock, self)

    def reopen(self) -> None:
        """The door has died: make another."""
        self._door = None
        with contextlib.suppress(OSError, SocketTaken):
            self._door = self._open()
        log.error("door_lost", extra={"straced": {"again": self._door is not None}})

    # --- who comes in ---

    def refusal_for(self, uid: int) -> bytes | None:
        """What is said to a user who may not have one more connection; ``None`` when they may."""
        refusal = self._why_not(uid)
        if refusal is None:
            return None
        self.refused += 1
        return protocol.refusal(None, refusal)

    def _why_not(self, uid: int) -> StracedError | None:
        account, limits = self.accounts.of(uid), self.limits
        most = min(limits.max_clients, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)  # the rest: for /proc
        mine, left = len(account.connections), most - len(self.clients)
        if not self._system and not account.trusted:
            return NotPermitted("this service is another user's", uid=os.geteuid())
        if mine >= limits.max_clients_per_user:
            return protocol.TooMuch(f"you have {mine} connections already", hint="close some connections")
        if left <= self._reserved(account, mine):
            return protocol.TooMuch(f"the service has {len(self.clients)} clients already", hint="try again later")
        return None

    def _reserved(self, account: Account, mine: int) -> int:
        """Places that are left, but not for this user."""
        limits = self.limits
        for_root = min(limits.reserved_for_root, limits.max_clients // 4)
        for_users = min(limits.reserved_for_users, limits.max_clients // 4)
        if account.trusted:
            return 0
        return for_root if mine < FEW else for_root + for_users

    def welcome(self, peer: Peer, link: Link) -> Connection:
        """A client has come in."""
        log.debug("client", extra={"straced": {"pid": peer.pid, "uid": peer.uid}})
        client = Connection(link, peer, self.accounts, self._handle, self._gone)
        self.clients.append(client)
        return client

    def _gone(self, client: Connection) -> None:
        if client in self.clients:
            self.clients.remove(client)

    # --- what they are told ---

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
        """Let nobody in any more, and close all clients."""
        if self._beat is not None:
            self._beat.cancel()
        door, self._door = self._door, None
        if door is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            door.close()
        for client in list(self.clients):
            client.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.__exit__()
