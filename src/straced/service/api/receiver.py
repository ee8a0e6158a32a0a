"""The process that has the connections of one user, where the kernel cannot refuse descriptors: it copies bytes.

It runs as that user, and knows nothing. Whatever a close of theirs waits for, waits here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket

CHUNK = 1 << 16
GO, CLOSED = b"go", b"closed"
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


class _Line:
    """A connection, the pipe to the service and the pipe from it, and what waits to be written to each."""

    def __init__(self, fds: list[int]) -> None:
        conn, self.up, self.down = fds
        self.conn = socket.socket(fileno=conn)
        for fd in fds:
            os.set_blocking(fd, False)
        self.to_service = self.to_client = b""
        self.ending = False

    def wants(self) -> dict[int, int]:
        """What to poll for."""
        reads = self.up >= 0 and not self.to_service
        conn = (select.POLLOUT if self.to_client else 0) | (select.POLLIN if reads else 0)
        wants = {self.up: select.POLLOUT if self.to_service else 0} if self.up >= 0 else {}
        if conn:
            wants[self.conn.fileno()] = conn
        if not self.to_client and not self.ending:
            wants[self.down] = select.POLLIN
        return wants

    def copy(self) -> bool:
        """Copy what there is, both ways; False when the service has ended the connection, and all of it is out."""
        with contextlib.suppress(BlockingIOError):
            if self.up >= 0 and not self.to_service:
                self.to_service = self.conn.recv(CHUNK)  # a descriptor that came with it is dropped here
                if not self.to_service:  # the service sees the end, too; its last word may still come
                    self._close_up()
            if self.up >= 0:
                self.to_service = self.to_service[os.write(self.up, self.to_service) :]
        with contextlib.suppress(BlockingIOError):
            if not self.to_client and not self.ending:
                self.to_client = os.read(self.down, CHUNK)
                self.ending = not self.to_client
            if self.to_client:
                self.to_client = self.to_client[self.conn.send(self.to_client, socket.MSG_NOSIGNAL) :]
        return not self.ending or bool(self.to_client)

    def close(self) -> None:
        """Let go: first of what is ours."""
        self._close_up()
        os.close(self.down)
        self.conn.close()

    def _close_up(self) -> None:
        if self.up >= 0:
            os.close(self.up)
            self.up = -1


def become(uid: int, gid: int) -> None:
    """Be that user, unseen by them, and end with the door."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def serve(control: socket.socket) -> None:
    """Copy for the connections that come by ``control``, until that is closed."""
    lines: list[_Line] = []
    waiting: list[_Line] = []
    while True:
        poll = select.poll()
        poll.register(control, select.POLLIN)
        for line in lines:
            for fd, events in line.wants().items():
                poll.register(fd, events)
        ready = dict(poll.poll())
        if control.fileno() in ready:
            data, fds, _flags, _address = socket.recv_fds(control, 64, 3)
            if not data:
                return
            if data == GO:  # the door has closed its copy: ours is the last from now on
                lines.append(waiting.pop(0))
            else:
                waiting.append(_Line(fds))
        for line in list(lines):
            if not ready.keys() & {line.conn.fileno(), line.up, line.down}:
                continue
            try:
                goes_on = line.copy()
            except OSError:
                goes_on = False
            if not goes_on:
                lines.remove(line)
                line.close()
                control.send(CLOSED)
