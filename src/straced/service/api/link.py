"""The way to one client: its socket, or a pair of pipes to the receiver that has its socket. Never blocks."""

from __future__ import annotations

import os
import socket
from typing import Protocol


class Link(Protocol):
    """Two descriptors, perhaps the same, and how to let go of them."""

    reader: int
    writer: int

    def close(self) -> None:
        """Let go of both."""


class SocketLink:
    """The socket itself."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        self.reader = self.writer = sock.fileno()

    def close(self) -> None:
        self._sock.close()


class PipeLink:
    """Pipes of our own: nothing but bytes comes through them."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)
