"""When a TCP connection last moved, and what is under way on it: struct tcp_info of linux/tcp.h, from sock_diag(7)."""

from __future__ import annotations

import socket
import struct

from msgspec import Struct

from straced.waits.facts import sock_diag

_INFO = 2
"""INET_DIAG_INFO."""
_ATTRIBUTES = 72
"""Where they begin: after struct inet_diag_msg."""
_ANY_STATE = 0xFFFFFFFF & ~(1 << 10)
"""All but those that listen: they have no times."""
_REPLY_MS = 20
"""As long as a reply may take; some ticks of the kernel, in which the times are counted."""
_SEGMENTS_END = 160
"""Where data_segs_out ends; kernels before 4.6 tell less, and are not asked for the rest."""


class TcpTimes(Struct, frozen=True, kw_only=True):
    """How long ago a connection sent and received data, as its own end has it, in ticks of 1 to 10 ms."""

    sent_ms: int
    """Since data was last sent; since the connection was made, when none ever was."""
    received_ms: int
    """The same for data that came in."""
    unacked: int
    """Segments that were sent and not acknowledged."""
    unsent_bytes: int = 0
    """Written and not sent yet: the window of the other end is shut, or the network is full."""
    ever_sent: bool = True
    ever_received: bool = True

    @property
    def moved_ms(self) -> int:
        """How long ago data last went either way."""
        return min(self.sent_ms, self.received_ms)

    @property
    def is_owed(self) -> bool:
        """Whether this end may have spoken last: what it asked may be unanswered."""
        return self.sent_ms <= self.received_ms

    @property
    def is_unanswered(self) -> bool:
        """Whether this end spoke last, and by itself: nothing came back since it sent.

        What is sent at once after something came is as well the answer to that, a pong to a ping: it asks for nothing.
        """
        return self.ever_sent and (not self.ever_received or self.received_ms - self.sent_ms > _REPLY_MS)

    @property
    def is_taken(self) -> bool:
        """Whether the other end's kernel has acknowledged all that was written."""
        return self.unacked == 0 and self.unsent_bytes == 0


def read(pid: int | None) -> dict[int, TcpTimes]:
    """inode -> times of all connections of a network namespace, in one dump; see :func:`sock_diag.dump` for ``pid``."""
    found = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _ANY_STATE) + bytes(48)
        for data in sock_diag.dump(request, pid):
            times = parse(data)
            if times is not None:
                found[times[0]] = times[1]
    return found


def parse(data: bytes) -> tuple[int, TcpTimes] | None:
    """(inode, times) of one answer; ``None`` for one that has none, or that nobody has accepted yet."""
    if len(data) < _ATTRIBUTES:
        return None
    inode = int.from_bytes(data[68:72], "little")
    at = _ATTRIBUTES
    while inode and at + 4 <= len(data):
        length, key = struct.unpack_from("=HH", data, at)
        if length < 4:
            return None
        if key == _INFO and length >= 4 + 60:
            return inode, _times(data[at + 4 : at + length])
        at += (length + 3) & ~3
    return None


def _times(info: bytes) -> TcpTimes:
    unacked, sent_ms, received_ms = (struct.unpack_from("=I", info, at)[0] for at in (24, 44, 52))
    if len(info) < _SEGMENTS_END:
        return TcpTimes(unacked=unacked, sent_ms=sent_ms, received_ms=received_ms)
    unsent, segments_in, segments_out = (struct.unpack_from("=I", info, at)[0] for at in (144, 152, 156))
    return TcpTimes(
        unacked=unacked,
        sent_ms=sent_ms,
        received_ms=received_ms,
        unsent_bytes=unsent,
        ever_sent=segments_out > 0,
        ever_received=segments_in > 0,
    )
