"""Descriptors that clients send uninvited: the kernel refuses them, where it can, so that none is ours to close.

The last close of a descriptor may take as long as its maker likes: a TCP socket that lingers, a file of a FUSE mount of
their own. Whoever receives one, drops one unread, or closes a socket in which one is queued, may run that close.
"""

from __future__ import annotations

import os
import socket

SO_PASSRIGHTS = 83
"""include/uapi/asm-generic/socket.h, Linux 6.16."""
FORCED = "STRACED_RECEIVERS"
"""Set to 1 in the environment: go on as where the kernel cannot refuse descriptors."""


def refuse_descriptors(sock: socket.socket) -> bool:
    """Have the kernel refuse every descriptor sent to ``sock``, or to what it accepts: whether it can.

    To be called before ``bind``: nothing may be queued when it takes effect. The sender is told EPERM.
    """
    if os.environ.get(FORCED) == "1":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError:
        return False
    return True
