"""The process that accepts, where the kernel cannot refuse descriptors: says who came, and hands each to a receiver.

It never runs the last close of a connection. A receiver that hangs is left to itself, and another takes its place; of
a user with several that hang, connections go to processes that do nothing but close them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Callable

import msgspec

from straced.linux import credentials
from straced.linux.credentials import Peer
from straced.service.api import receiver
from straced.service.api.receivers import PACKET, PendingClient, Reply

MAX_UNANSWERED = 64
MAX_HANGING = 4
"""Receivers of one user that hang, before no other is started."""
MAX_RECEIVERS = 64
SWEEP_S = 0.2
IDLE_S = 2.0
Identity = tuple[int, int, int]


class _Receiver:
    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid, self.control = pid, control
        self.count = 0
        """Connections that it has."""
        self.since = time.monotonic()


class _Door:
    def __init__(self, listener: socket.socket, control: socket.socket) -> None:
        self.listener, self.control = listener, control
        self.receivers: dict[Identity, _Receiver] = {}
        self.hanging: dict[Identity, list[int]] = {}
        self.unanswered: dict[int, tuple[socket.socket, Peer]] = {}
        self.left: list[tuple[socket.socket, bytes]] = []
        """Connections that are to be closed, and what is said to each."""
        self.number = 0

    def run(self) -> None:
        """Let in, until the service is gone."""
        while True:
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            if len(self.unanswered) < MAX_UNANSWERED:
                poll.register(self.listener, select.POLLIN)
            for each in self.receivers.values():
                poll.register(each.control, select.POLLIN)
            idle = self.receivers or self.left or self.hanging
            ready = dict(poll.poll(1000 * SWEEP_S if idle else None))
            if self.control.fileno() in ready and not self.answered():
                return
            if self.listener.fileno() in ready:
                self.accept()
            for identity, each in list(self.receivers.items()):
                if each.control.fileno() in ready:
                    self.hear(identity, each)
            self.sweep()

    def accept(self) -> None:
        try:
            sock, _address = self.listener.accept()
        except OSError:
            time.sleep(SWEEP_S)  # no descriptor is left, and nobody else waits for this process
            return
        try:
            peer = credentials.peer_of(sock)
        except OSError:
            self.left.append((sock, b""))
            return
        self.number += 1
        self.unanswered[self.number] = (sock, peer)
        self.control.send(msgspec.json.encode(PendingClient(self.number, peer)))

    def answered(self) -> bool:
        data, fds, _flags, _address = socket.recv_fds(self.control, PACKET, 2)
        if not data:
            return False
        reply = msgspec.json.decode(data, type=Reply)
        sock, peer = self.unanswered.pop(reply.number)
        if reply.refusal or not self.hand_over(sock, peer, fds):
            self.left.append((sock, reply.refusal.encode()))
        for fd in fds:
            os.close(fd)
        return True

    # --- receivers ---

    def hand_over(self, sock: socket.socket, peer: Peer, fds: list[int]) -> bool:
        """Give a connection to its user's receiver. Our copy is closed while the other is there, then it may begin."""
        identity = (peer.uid, peer.gid, peer.capabilities)
        for _ in range(2):
            found = self.receivers.get(identity) or self.start(identity)
            if found is None:
                return False
            try:
                socket.send_fds(found.control, [b"conn"], [sock.fileno(), *fds], socket.MSG_NOSIGNAL)
            except OSError:
                self.retire(identity)
                continue
            sock.close()
            found.count += 1
            try:
                found.control.send(receiver.GO, socket.MSG_NOSIGNAL)
            except OSError:
                self.retire(identity)
            return True
        return False

    def start(self, identity: Identity) -> _Receiver | None:
        if len(self.receivers) >= MAX_RECEIVERS or len(self.hanging.get(identity, ())) >= MAX_HANGING:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        uid, gid, _capabilities = identity

        def work() -> None:
            receiver.become(uid, gid)
            receiver.serve(theirs)

        pid = self.fork(work, [theirs.fileno()])
        theirs.close()
        ours.setblocking(False)
        self.receivers[identity] = _Receiver(pid, ours)
        return self.receivers[identity]

    def fork(self, work: Callable[[], None], keep: list[int]) -> int:
        """A process that has these descriptors alone; it closes the others while this one waits, and has them too."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid:
            os.close(writer)
            os.read(reader, 1)
            os.close(reader)
            return pid
        try:
            kept = sorted({0, 1, 2, writer, *keep})
            for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                os.closerange(low + 1, high)
            os.close(writer)
            work()
        finally:
            os._exit(0)

    def hear(self, identity: Identity, found: _Receiver) -> None:
        """It has closed one, or it is gone."""
        try:
            gone = not found.control.recv(64)
        except OSError:
            gone = True
        if gone:
            self.retire(identity)
            return
        found.count -= 1
        found.since = time.monotonic()

    def retire(self, identity: Identity) -> None:
        """It hangs, or has ended: it is to end, when it can."""
        found = self.receivers.pop(identity)
        found.control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)
        self.hanging.setdefault(identity, []).append(found.pid)

    def sweep(self) -> None:
        """Reap; end receivers without work; have connections closed that nobody wants."""
        now = time.monotonic()
        for identity, found in list(self.receivers.items()):
            if found.count == 0 and now - found.since > IDLE_S:
                self.retire(identity)
        for identity, pids in list(self.hanging.items()):
            self.hanging[identity] = [pid for pid in pids if os.waitpid(pid, os.WNOHANG) == (0, 0)]
            if not self.hanging[identity]:
                del self.hanging[identity]
        if self.left:
            self.close_all()

    def close_all(self) -> None:
        """In a process of its own, and it is not waited for: it is the last to have them once ours are closed."""
        left, self.left = self.left, []
        held, may_end = socket.socketpair()

        def work() -> None:
            for sock, word in left:
                with contextlib.suppress(OSError):
                    sock.send(word, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            held.recv(1)  # until all copies of the door are closed

        pid = self.fork(work, [held.fileno(), *(sock.fileno() for sock, _word in left)])
        for sock, _word in left:
            sock.close()
        held.close()
        may_end.close()
        self.hanging.setdefault((-1, -1, -1), []).append(pid)


def main(listener: int, control: int) -> None:
    """Be the door, on the descriptors of the service."""
    ctypes.CDLL(None).prctl(receiver.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    ctypes.CDLL(None).prctl(receiver.PR_SET_DUMPABLE, 0, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the service ends this process
    sock = socket.socket(fileno=listener)
    for fd in (listener, control):
        os.set_inheritable(fd, False)
    sock.setblocking(False)
    _Door(sock, socket.socket(fileno=control)).run()
