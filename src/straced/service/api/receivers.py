"""The door where the kernel cannot refuse descriptors: processes that nobody waits for hold listener and connections.

One accepts (:mod:`straced.service.api.acceptor`) and says who came; one a user (:mod:`straced.service.api.receiver`)
has their connections, and may hang in closing what they sent. Here are pipes of our own, one pair a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

import msgspec

from straced.linux.credentials import Peer
from straced.service.api.door import BACKLOG, AdmissionPolicy
from straced.service.api.link import PipeLink

PACKET = 1 << 16


class PendingClient(msgspec.Struct, frozen=True):
    """A client waits, says the door."""

    number: int
    peer: Peer


class Reply(msgspec.Struct, frozen=True):
    """What is to become of it: two pipes come with this, or it is told no."""

    number: int
    refusal: str = ""


def _start(sock: socket.socket, control: socket.socket) -> subprocess.Popen[bytes]:
    """The process that accepts. Clients may come from now on, and wait until it does."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"from straced.service.api.acceptor import main; main({sock.fileno()}, {control.fileno()})"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        pass_fds=(sock.fileno(), control.fileno()),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Here, and not there: who is told that the service is ready may connect. And after it, which has the socket as well
    # then: a close of ours is not the last one of what waits in the queue.
    sock.listen(BACKLOG)
    return process


class Receivers:
    """The service's side.

    Args:
        sock: bound; it listens from now on, and the process of the door gets it.
        reception: is asked who may come in.
    """

    def __init__(self, sock: socket.socket, reception: AdmissionPolicy) -> None:
        self._reception = reception
        self._loop = asyncio.get_running_loop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        try:
            self._process = _start(sock, theirs)
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
            sock.close()
        self._loop.add_reader(self._control.fileno(), self._hear)

    def _hear(self) -> None:
        try:
            data = self._control.recv(PACKET)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            self._reception.reopen()
            return
        knock = msgspec.json.decode(data, type=PendingClient)
        refusal = self._reception.refusal_for(knock.peer.uid)
        if refusal is not None:
            with contextlib.suppress(OSError):
                self._control.send(msgspec.json.encode(Reply(knock.number, refusal.decode())))
            return
        try:
            self._let_in(knock)
        except OSError:
            with contextlib.suppress(OSError):
                self._control.send(msgspec.json.encode(Reply(knock.number, "\n")))

    def _let_in(self, knock: PendingClient) -> None:
        pipes: list[int] = []
        try:
            pipes += os.pipe2(os.O_CLOEXEC)
            pipes += os.pipe2(os.O_CLOEXEC)
            from_client, theirs_in, theirs_out, to_client = pipes
            reply = msgspec.json.encode(Reply(knock.number))
            socket.send_fds(self._control, [reply], [theirs_in, theirs_out], socket.MSG_NOSIGNAL)
        except OSError:
            for fd in pipes:
                os.close(fd)
            raise
        os.close(theirs_in)
        os.close(theirs_out)
        self._reception.welcome(knock.peer, PipeLink(from_client, to_client))

    def close(self) -> None:
        """End the door and its receivers, and wait for none of them."""
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)  # the kernel is quick, unless something hangs in it
