"""Sockets and their peers, from sock_diag(7): what /proc/net cannot tell, the other end of a unix socket, among it."""

from __future__ import annotations

import functools
import os
import socket
import struct
from collections.abc import Iterator

from msgspec import Struct

from straced.why.memory import unix_name
from straced.why.proc import Proc

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_UNIX_NAME, _UNIX_PEER, _UNIX_ICONS, _UNIX_RQLEN = 0, 2, 3, 4
_SHOW = 0x01 | 0x04 | 0x08 | 0x10
ESTABLISHED, SYN_SENT, LISTEN = 1, 2, 10
STATES = {1: "established", 2: "SYN sent", 3: "SYN received", 4: "FIN wait 1", 5: "FIN wait 2", 6: "time wait"} | {
    7: "closed", 8: "close wait", 9: "last ack", 10: "listening", 11: "closing"
}  # fmt: skip


class Sock(Struct, frozen=True, kw_only=True):
    """A socket of this network namespace."""

    family: str
    """``unix``, ``tcp`` or ``udp``."""
    type: int
    state: int
    inode: int
    """0 for a connection that nobody has accepted yet."""
    local: str = ""
    """The name or ``address:port``; ``""`` for an unnamed unix socket."""
    remote: str = ""
    peer_inode: int | None = None
    """Of a unix socket."""
    pending: tuple[int, ...] = ()
    """Of a listening unix socket: inodes of clients not accepted yet."""
    receive_queue: int = 0
    send_queue: int = 0
    """For a listening socket the two are the accept queue's length and limit."""

    @property
    def outside(self) -> bool:
        """Whether the other end is another machine (or another network namespace), as far as its address says."""
        host = self.remote.rpartition(":")[0].strip("[]")
        return self.family != "unix" and not (host.startswith("127.") or host in ("::1", "0.0.0.0", "::", ""))


class Sockets:
    """All sockets by inode; each family is dumped on first use."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc

    @functools.cached_property
    def unix(self) -> dict[int, Sock]:
        request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOW, 0xFFFFFFFF, 0xFFFFFFFF)
        return {sock.inode: sock for sock in map(parse_unix, self._dump(request)) if sock is not None}

    @functools.cached_property
    def inet(self) -> list[Sock]:
        found = []
        for name, protocol in (("tcp", socket.IPPROTO_TCP), ("udp", socket.IPPROTO_UDP)):
            for family in (socket.AF_INET, socket.AF_INET6):
                request = struct.pack("=BBBBI", family, protocol, 0, 0, 0xFFFFFFFF) + bytes(48)
                found += [sock for data in self._dump(request) if (sock := parse_inet(data, name)) is not None]
        return found

    @functools.cached_property
    def _inet_by_inode(self) -> dict[int, Sock]:
        return {sock.inode: sock for sock in self.inet if sock.inode}

    @functools.cached_property
    def _inet_by_ends(self) -> dict[tuple[str, str, str], Sock]:
        return {(sock.family, sock.local, sock.remote): sock for sock in self.inet}

    def get(self, inode: int) -> Sock | None:
        """The socket with this inode; ``None`` in another network namespace, or for a family that is not dumped."""
        return self._inet_by_inode.get(inode) or self.unix.get(inode)

    def other_end(self, sock: Sock) -> Sock | None:
        """The local socket at the other end of a TCP connection or a connected UDP socket."""
        exact = self._inet_by_ends.get((sock.family, sock.remote, sock.local))
        if exact is None and sock.family == "udp":
            return self.bound(sock.remote, "udp")
        return exact

    def bound(self, address: str, family: str = "tcp") -> Sock | None:
        """The listening TCP (or unconnected UDP) socket that serves ``address:port``."""
        port = address.rpartition(":")[2]
        wanted = (address, f"0.0.0.0:{port}", f"[::]:{port}")
        state = LISTEN if family == "tcp" else 7
        fitting = [s for s in self.inet if s.family == family and s.state == state and s.local in wanted]
        return min(fitting, key=lambda s: wanted.index(s.local)) if fitting else None

    def unix_named(self, name: str, kind: int | None = None) -> list[Sock]:
        """The unix sockets bound to a name that can be connected or sent to."""
        return [
            sock
            for sock in self.unix.values()
            if sock.local == name and (sock.state == LISTEN or sock.type == socket.SOCK_DGRAM)
            if kind is None or sock.type == kind
        ]

    def _dump(self, request: bytes) -> Iterator[bytes]:
        if self._proc.root != "/proc":
            return  # a /proc of somebody else's making: our sockets are not its sockets
        try:
            netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        except OSError:
            return
        with netlink:
            netlink.settimeout(2.0)
            header = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
            try:
                netlink.send(header + request)
                while True:
                    data = netlink.recv(1 << 18)
                    at = 0
                    while at + 16 <= len(data):
                        length, kind = struct.unpack_from("=IH", data, at)
                        if kind in (_DONE, _ERROR) or length < 16:
                            return
                        yield data[at + 16 : at + length]
                        at += (length + 3) & ~3
            except OSError:
                return

    def namespace_differs(self, pid: int) -> bool:
        """Whether a process lives in another network namespace than we do."""
        theirs = self._proc.link(pid, "ns/net")
        return theirs is not None and theirs != os.fsencode(os.readlink("/proc/self/ns/net"))


def parse_unix(data: bytes) -> Sock | None:
    if len(data) < 16:
        return None
    _, kind, state, _, inode = struct.unpack_from("=BBBBI", data)
    attributes: dict[int, bytes] = {}
    at = 16
    while at + 4 <= len(data):
        length, key = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        attributes[key] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    pending = attributes.get(_UNIX_ICONS, b"")
    queues = struct.unpack("=II", attributes[_UNIX_RQLEN]) if len(attributes.get(_UNIX_RQLEN, b"")) == 8 else (0, 0)
    peer = attributes.get(_UNIX_PEER)
    return Sock(
        family="unix",
        type=kind,
        state=state,
        inode=inode,
        local=unix_name(attributes.get(_UNIX_NAME, b"")),
        peer_inode=int.from_bytes(peer, "little") if peer else None,
        pending=struct.unpack(f"={len(pending) // 4}I", pending),
        receive_queue=queues[0],
        send_queue=queues[1],
    )


def parse_inet(data: bytes, name: str) -> Sock | None:
    if len(data) < 72:
        return None
    family, state, _, _ = struct.unpack_from("=BBBB", data)
    sport, dport = struct.unpack_from("!HH", data, 4)
    receive, send, _, inode = struct.unpack_from("=IIII", data, 56)
    return Sock(
        family=name,
        type=socket.SOCK_STREAM if name == "tcp" else socket.SOCK_DGRAM,
        state=state,
        inode=inode,
        local=_address(family, data[8:24], sport),
        remote=_address(family, data[24:40], dport),
        receive_queue=receive,
        send_queue=send,
    )


def _address(family: int, raw: bytes, port: int) -> str:
    if family == socket.AF_INET:
        return f"{socket.inet_ntop(socket.AF_INET, raw[:4])}:{port}"
    if raw[:12] == bytes(10) + b"\xff\xff":  # an IPv4 peer of an IPv6 socket: the other end knows it as IPv4
        return f"{socket.inet_ntop(socket.AF_INET, raw[12:])}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{port}"
