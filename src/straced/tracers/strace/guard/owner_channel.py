"""The socket pair between the guard and its owner, which nobody else holds. A message is a marshalled tuple, a packet.

From the owner: ``("spawn", number, argv, pids, limits)`` with the output descriptor (or the sink of a relay) attached,
``("stop", number, why, grace_s)``, ``("calibrate", number, argv)``, ``("quit",)``. To the owner:
``("spawned", number, pid)``, ``("attached", number, waits)`` with its first target, ``("failed", number, errno)``,
``("exit", number, facts)``, ``("cost", ns)``, ``("spare", pid)`` (0: none) of a process that is no strace yet.
"""

import _socket
import marshal
import sys

PACKET = 1 << 20


class OwnerChannel:
    """The guard's end."""

    def __init__(self, fd):
        self.fd = fd
        self._socket = _socket.socket(fileno=fd)

    def receive(self):
        """The next message and its descriptors; ``None`` in its place when the owner has closed."""
        space = _socket.CMSG_SPACE(16)
        data, ancillary, _flags, _address = self._socket.recvmsg(PACKET, space, _socket.MSG_CMSG_CLOEXEC)
        fds = []
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fds += [int.from_bytes(payload[i : i + 4], sys.byteorder) for i in range(0, len(payload) - 3, 4)]
        return (marshal.loads(data) if data else None), fds

    def send(self, message):
        """Tell the owner.

        Raises:
            OSError: it is gone.
        """
        self._socket.send(marshal.dumps(message))
