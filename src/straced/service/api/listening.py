"""The listening socket where the kernel refuses descriptors, or where its owner alone may connect."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

from straced.linux import credentials
from straced.service.api.door import BACKLOG, AdmissionPolicy
from straced.service.api.link import SocketLink

ACCEPTS_A_ROUND = 16
BACK_OFF_S = 0.2
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Listener:
    """Accepts, in this process.

    Args:
        sock: bound; it listens from now on.
        reception: is asked who may come in.
    """

    def __init__(self, sock: socket.socket, reception: AdmissionPolicy) -> None:
        self._sock: socket.socket | None = sock
        self._reception = reception
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        sock.listen(BACKLOG)
        self._loop.add_reader(sock.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._sock is not None
        for _ in range(ACCEPTS_A_ROUND):
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in FULL:
                    self._turn_one_away()
                return
            self._welcome(sock)

    def _welcome(self, sock: socket.socket) -> None:
        try:
            refusal = self._reception.refusal_for(credentials.peer_uid(sock))  # first: who is refused is to cost little
            if refusal is None:
                self._reception.welcome(credentials.peer_of(sock), SocketLink(sock))
                return
        except OSError as error:
            if error.errno in FULL:
                self._back_off()
        else:
            with contextlib.suppress(OSError):
                sock.setblocking(False)
                sock.send(refusal, socket.MSG_NOSIGNAL)
        sock.close()

    def _turn_one_away(self) -> None:
        """No descriptor is left: the spare one serves to accept a client and to close it, then there is a pause."""
        assert self._sock is not None
        with contextlib.suppress(OSError):
            if self._spare >= 0:
                os.close(self._spare)
                self._spare = -1
            sock, _address = self._sock.accept()
            sock.close()
        with contextlib.suppress(OSError):
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._back_off()

    def _back_off(self) -> None:
        """Accept nobody for a moment, so that the loop is not busy with refusing."""
        if self._sock is not None and self._loop.remove_reader(self._sock.fileno()):
            self._loop.call_later(BACK_OFF_S, self._go_on)

    def _go_on(self) -> None:
        if self._sock is not None:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Stop listening."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
