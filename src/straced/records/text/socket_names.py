"""The names of sockets as ``strace -yy`` writes them, as far as the arguments of calls tell them.

strace asks the kernel. Here the local end of a connect, and the inode that stands for a socket without an address, are
known to nobody: they are question marks, with numbers that tell one from another.
"""

from __future__ import annotations

import socket
import struct

from msgspec import Struct

from straced.records.text.quoting import quoted

UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5
_INTERNET = {
    (STREAM, 0): "TCP", (STREAM, 6): "TCP", (DGRAM, 0): "UDP", (DGRAM, 17): "UDP", (DGRAM, 1): "PING",
    (DGRAM, 136): "UDPLITE", (STREAM, 132): "SCTP", (SEQPACKET, 132): "SCTP",
}  # fmt: skip
_UNIX = {STREAM: "UNIX-STREAM", DGRAM: "UNIX", SEQPACKET: "UNIX"}
_NETLINK = {
    0: "ROUTE", 2: "USERSOCK", 3: "FIREWALL", 4: "SOCK_DIAG", 5: "NFLOG", 6: "XFRM", 7: "SELINUX",
    8: "ISCSI", 9: "AUDIT", 10: "FIB_LOOKUP", 11: "CONNECTOR", 12: "NETFILTER", 15: "KOBJECT_UEVENT",
    16: "GENERIC", 20: "RDMA", 21: "CRYPTO",
}  # fmt: skip
UNKNOWN = "?"


class SocketName(Struct):
    """A socket by what calls have said of it."""

    protocol: str
    family: int
    local: str = ""
    peer: str = ""
    """Of a local socket the number of the other one, of a netlink socket the name of its protocol."""
    path: str = ""
    """Of a socket of the family AF_UNIX, in quotes."""
    number: str = UNKNOWN
    """In place of its inode."""

    def text(self) -> str:
        """What stands between the angle brackets."""
        if self.family == UNIX:
            ends = f"{self.number}->{self.peer}" if self.peer else self.number
            return f"{self.protocol}:[{ends},{self.path}]" if self.path else f"{self.protocol}:[{ends}]"
        if self.family == NETLINK and self.local:
            return f"{self.protocol}:[{self.peer}:{self.local}]"
        if self.family == NETLINK or not (self.local or self.peer):
            return f"{self.protocol}:[{self.number}]"
        ends = self.local or UNKNOWN
        return f"{self.protocol}:[{ends}->{self.peer}]" if self.peer else f"{self.protocol}:[{ends}]"


def created(family: int, kind: int, protocol: int) -> SocketName | None:
    """What socket(2) makes; ``None`` where strace's word for it is not known here."""
    kind &= 0xF
    if family == UNIX and kind in _UNIX:
        return SocketName(_UNIX[kind], family)
    if family in (INET, INET6):
        name = "RAW" if kind == RAW else _INTERNET.get((kind, protocol))
        if name is not None:
            return SocketName(name + ("v6" if family == INET6 else ""), family)
    if family == NETLINK:
        return SocketName("NETLINK", family, "", _NETLINK.get(protocol, UNKNOWN))
    return None


def end_of(address: bytes) -> str:
    """An address of the Internet as an end of a connection: ``127.0.0.1:80``, ``[::1]:80``; empty for others."""
    if len(address) >= 8 and address[:2] == struct.pack("=H", INET):
        return f"{socket.inet_ntop(INET, address[4:8])}:{int.from_bytes(address[2:4], 'big')}"
    if len(address) >= 24 and address[:2] == struct.pack("=H", INET6):
        return f"[{socket.inet_ntop(INET6, address[8:24])}]:{int.from_bytes(address[2:4], 'big')}"
    return ""


def is_wildcard(end: str) -> bool:
    """Whether an end is every address of the machine, which is not that of a connection."""
    return end.startswith(("0.0.0.0:", "[::]:"))


def path_of(address: bytes) -> str:
    """The path of an address of AF_UNIX, in quotes, with ``@`` for an abstract one; empty where it has none."""
    path = address[2:]
    if not path:
        return ""
    if path[:1] == b"\0":
        return "@" + quoted(path[1:])
    return quoted(path.split(b"\0")[0])
